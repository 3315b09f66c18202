"""`payonce serve`."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import click

from adapters.security.tls import MutualTls
from entrypoints.cli.serving import run_until_signal, service_option, settings_with
from entrypoints.http.app import create_app, create_internal_app_of
from entrypoints.http.container import container_of
from entrypoints.http.servers import make_server
from entrypoints.logging import configure_logging
from entrypoints.settings import Settings

BACKLOG = 2048
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@service_option
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one.")
@click.option("--fd", type=click.IntRange(min=3), help="Serve on this inherited listening socket instead.")
@click.option(
    "--internal-port",
    type=click.IntRange(0, 65535),
    help="Listen there too, for the other service, by mutual TLS.",
)
@click.option("--tls-cert", type=_FILE, help="The certificate to show there (PEM).")
@click.option("--tls-key", type=_FILE, help="Its key.")
@click.option("--tls-client-ca", type=_FILE, help="The authority of the certificates accepted there.")
def command(fd: int | None, **options: Any) -> None:
    settings = settings_with(options)
    configure_logging(settings.log_level, settings.log_format)
    run_until_signal(lambda stop: serve(settings, fd, stop))


def _listen(settings: Settings, port: int, scheme: str) -> socket.socket:
    try:
        listener = socket.create_server((settings.host, port), backlog=BACKLOG)
    except OSError as error:
        address = f"{settings.host}:{port}"
        raise click.UsageError(f"{address} cannot be used ({error.strerror}).") from error
    click.echo(f"listening on {scheme}://{settings.host}:{listener.getsockname()[1]}", err=True)
    return listener


async def serve(settings: Settings, fd: int | None, stop: asyncio.Event) -> None:
    app = create_app(settings)  # before the ports are taken: the settings may be wrong
    container, internal = container_of(app), settings.internal_tls()
    tls = MutualTls(internal, is_server=True) if internal else None
    listener = socket.socket(fileno=fd) if fd is not None else _listen(settings, settings.port, "http")
    servers = [(make_server(app, settings), listener)]
    if tls is not None and settings.internal_port is not None:
        internal_app = create_internal_app_of(container)
        at = _listen(settings, settings.internal_port, "https")
        servers.append((make_server(internal_app, settings, tls), at))
    async with app.lifespan():
        serving = [asyncio.create_task(server.serve(sockets=[at])) for server, at in servers]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if container.sides.orders is not None:
            # uvicorn waits for requests to end, which streams never do by themselves.
            container.streams.close()
        for server, _ in servers:
            server.should_exit = True
        stopping.cancel()
        await asyncio.gather(*serving)
