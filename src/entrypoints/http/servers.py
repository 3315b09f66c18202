"""The HTTP servers of a process: the first listener, and the internal one within mutual TLS."""

import contextlib
from collections.abc import Generator

import uvicorn
from litestar import Litestar

from adapters.security.tls import MutualTls
from entrypoints.http.connections import connections
from entrypoints.settings import Settings

# Below the ten seconds after which a supervisor kills.
GRACEFUL_SECONDS = 8


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would send us the signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def make_server(app: Litestar, settings: Settings, tls: MutualTls | None = None) -> Server:
    """Neither starts nor stops the application: two of them may serve one container."""
    config = uvicorn.Config(
        app,
        http=connections(settings.request_head_seconds, settings.request_body_seconds),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # which proxies are believed, `entrypoints.http.addresses` knows
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_context_factory=(lambda *_: tls.context) if tls else None,
    )
    return Server(config)
