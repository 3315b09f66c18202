"""`payonce serve`."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator
from typing import Any

import click
import msgspec
import uvicorn

from entrypoints.cli.serving import run_until_signal
from entrypoints.environment import load_settings
from entrypoints.http.app import create_app
from entrypoints.http.connections import connections
from entrypoints.http.container import container_of
from entrypoints.logging import configure_logging
from entrypoints.settings import Settings

# Below the ten seconds after which a supervisor kills.
GRACEFUL_SECONDS = 8
BACKLOG = 2048


@click.command()
@click.option("--service", type=click.Choice(["all", "orders", "payments"]), help="Which service to run.")
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one.")
@click.option("--fd", type=click.IntRange(min=3), help="Serve on this inherited listening socket instead.")
def command(fd: int | None, **options: Any) -> None:
    settings = load_settings(os.environ)
    given = {name: value for name, value in options.items() if value is not None}
    settings = msgspec.structs.replace(settings, **given)
    configure_logging(settings.log_level, settings.log_format)
    run_until_signal(lambda stop: serve(settings, fd, stop))


def _listen(settings: Settings) -> socket.socket:
    try:
        listener = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        raise click.UsageError(f"{address} cannot be used ({error.strerror}).") from error
    click.echo(f"listening on http://{settings.host}:{listener.getsockname()[1]}", err=True)
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would send us the signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(settings: Settings, fd: int | None, stop: asyncio.Event) -> None:
    app = create_app(settings)  # before the port is taken: the settings may be wrong
    listener = socket.socket(fileno=fd) if fd is not None else _listen(settings)
    config = uvicorn.Config(
        app,
        http=connections(settings.request_head_seconds, settings.request_body_seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # which proxies are believed, `entrypoints.http.addresses` knows
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    container_of(
        app
    ).streams.close()  # uvicorn waits for requests to end, which streams never do by themselves
    server.should_exit = True
    stopping.cancel()
    await serving
