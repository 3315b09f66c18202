"""Both services apart: each with its database, key and certificate, calling the other over real sockets by mutual TLS."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from adapters.security.certificates import create_certificates
from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from adapters.security.tls import MutualTls, TlsFiles
from domain.payments.gateway import PaymentGateway
from entrypoints.bootstrap import Container, build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_internal_app_of
from entrypoints.http.servers import Server, make_server
from entrypoints.settings import Secret, Settings

Service = Literal["orders", "payments"]


@dataclass
class Services:
    """The two, in one process or in two; `urls` are their internal addresses."""

    orders: Container
    payments: Container
    home: Path
    urls: dict[str, str]


def certificates(home: Path) -> Path:
    """The folder with an authority and both services' certificates."""
    folder = home / "certs"
    if not folder.exists():
        create_certificates(folder, [], datetime.now(UTC))
    return folder


def tls_files(folder: Path, name: str) -> TlsFiles:
    return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


def settings_of(service: Service, home: Path, urls: dict[str, str], **changes: Any) -> Settings:
    """Of one service alone."""
    own, other = home / service, "payments" if service == "orders" else "orders"
    if not (own / "keys.json").exists():
        create_keys(own / "keys.json")
        create_data_keys(own / "data-keys.json")
    files = tls_files(certificates(home), service)
    values: dict[str, Any] = {
        "home": own,
        "service": service,
        f"{other}_url": urls[other],
        "service_client_cert": files.certificate,
        "service_client_key": files.key,
        "service_client_ca": files.authority,
        "service_timeout_seconds": 10.0,
        "stripe_api_key": Secret("sk_test_payonce"),
        "stripe_webhook_secret": Secret("whsec_test"),
    }
    return Settings(**{**values, **changes})


@asynccontextmanager
async def serving(container: Container, listener: socket.socket, tls: MutualTls) -> AsyncIterator[Server]:
    """The internal listener of this container, on this socket."""
    server = make_server(create_internal_app_of(container), container.settings, tls)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield server
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def apart(
    home: Path,
    databases: dict[str, str],
    valkey_url: str,
    gateway: PaymentGateway,
    **changes: Any,
) -> AsyncIterator[Services]:
    """Both in this process, as far apart as two processes: they meet at their internal listeners alone."""
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ("orders", "payments")}
    urls = {name: f"https://localhost:{at.getsockname()[1]}" for name, at in listeners.items()}
    containers: dict[str, Container] = {}
    services: tuple[Service, ...] = ("orders", "payments")
    async with AsyncExitStack() as stack:
        for listener in listeners.values():
            stack.callback(listener.close)
        for service in services:
            databases_of_it = {f"{service}_database_url": Secret(databases[service])}
            settings = settings_of(
                service, home, urls, redis_url=Secret(valkey_url), **databases_of_it, **changes
            )
            outside = Outside(gateway=gateway if service == "payments" else None)
            container = containers[service] = build_container(settings, outside)
            await container.start()
            stack.push_async_callback(container.stop)
        for service in services:
            tls = MutualTls(tls_files(certificates(home), service), is_server=True)
            await stack.enter_async_context(serving(containers[service], listeners[service], tls))
        yield Services(containers["orders"], containers["payments"], home, urls)
