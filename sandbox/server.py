"""The sandbox as a process."""

import signal
from pathlib import Path
from socket import socket
from types import FrameType

import uvicorn

from sandbox.app import Sandbox

_GRACE_SECONDS = 2  # for requests under way when the process is told to end


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Tell whoever started the process that it can be called from now on."""
        await super().startup(sockets)
        if self.started:
            print(f"sandbox ready at http://{self.config.host}:{self.config.port}", flush=True)


def run(
    host: str, port: int, data_path: Path, webhooks: list[tuple[str, str]], smtp_port: int | None = None
) -> None:
    """Serve until SIGTERM or SIGINT.

    `data_path` is the SQLite file, made where missing. `webhooks` are (URL, secret) pairs that
    events of the account `sk_test_payonce` are delivered to; each is one endpoint, known by its URL.
    `smtp_port` is where mails are taken, if they are.
    """
    # uvicorn raises the signal again once it has ended; that must not end the process with an error.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    config = uvicorn.Config(
        Sandbox(data_path, webhooks, (host, smtp_port) if smtp_port else None),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    _Server(config).run()


def _ignore(number: int, frame: FrameType | None) -> None:
    return
