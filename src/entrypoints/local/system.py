"""The whole system on one machine: which programs, in which order, with which settings."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGINT, SIGQUIT
from typing import Protocol, TypeVar

import asyncpg
import httpx
import msgspec

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from entrypoints.local.home import Home
from entrypoints.local.ports import free_port
from entrypoints.local.postgres import EmbeddedPostgres
from entrypoints.local.ready import SANDBOX_KEY, Ready, ready_tokens, write_ready_file
from entrypoints.local.supervisor import Program, ProgramFailed, Supervisor, end_leftovers, python_command
from entrypoints.local.valkey import EmbeddedValkey
from entrypoints.refusals import StartRefused
from entrypoints.settings import Settings

DATABASE = "payonce"
MAIL_FROM = "orders@payonce.example"
# A port that was free may be taken before its server binds it: then another one is tried.
PORT_ATTEMPTS = 5

Server = TypeVar("Server", EmbeddedPostgres, EmbeddedValkey)


class PortTaken(StartRefused):
    """Somebody else listens on the wanted port; the message names it and the option."""


class Steps(Protocol):
    """Whoever shows the progress of a start."""

    def step(self, name: str) -> AbstractContextManager[Callable[[str], None]]:
        """One step, for as long as the context lasts; call what it gives with a remark on the outcome."""
        ...

    def tell(self, sentence: str) -> None:
        """Show one sentence about what happens later on."""
        ...


@dataclass(frozen=True, kw_only=True)
class SystemOptions:
    """What `payonce up` is asked for. A port of 0 takes a free one."""

    home: Path
    port: int
    sandbox_port: int
    workers: int = 1
    ready_file: Path | None = None


@dataclass(frozen=True)
class Addresses:
    """Where the programs find one another."""

    api_url: str
    sandbox_url: str
    smtp_port: int
    """Of the sandbox's mailbox."""


class System:
    """Starts everything, keeps it running, and ends everything."""

    def __init__(self, options: SystemOptions, settings: Settings, steps: Steps):
        self._options = options
        self._settings = settings
        self._steps = steps
        self._home = Home(options.home)
        self._supervisor = Supervisor(self._home.path, tell=steps.tell, changed=self._publish)
        self._listener: socket.socket | None = None
        self._ready: Ready | None = None

    async def start(self) -> Ready:
        """Start all programs and return once the API answers.

        Raises HomeTaken, PortTaken, or ProgramFailed with the end of the log of what failed.
        `stop` must be called in any case.
        """
        self._home.take()
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)
        listener = self._listener = _listen(self._settings.host, self._options.port)
        api_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sandbox_port = self._options.sandbox_port or free_port()
        _check_free(sandbox_port)
        at = Addresses(api_url, f"http://127.0.0.1:{sandbox_port}", free_port())
        if count := await asyncio.to_thread(end_leftovers, self._home.path):
            self._steps.tell(f"{count} processes of a killed predecessor were ended")
        database_url = self._settings.database_url.reveal()
        owner_url = self._settings.migration_database_url.reveal() or database_url
        if not database_url:
            owner_url, database_url = await self._start_postgres()
        redis_url = self._settings.redis_url.reveal() or await self._start_valkey()
        with self._steps.step("signing keys") as note:
            keys = create_keys(self._settings.signing_key_file)
            note(str(keys.path))
        if not self._settings.data_keys:
            with self._steps.step("the key of stored data") as note:
                note(str(create_data_keys(self._settings.data_key_file).path))
        environment = self._environment(database_url, redis_url, at)
        await self._migrate(environment, owner_url)
        await self._start_programs(environment, listener.fileno(), at)
        self._ready = Ready(
            api_url=api_url,
            console_url=f"{api_url}/console",
            sandbox_url=at.sandbox_url,
            mailbox_url=f"{at.sandbox_url}/_sandbox/mailbox",
            database_url=database_url,
            redis_url=redis_url,
            tokens=ready_tokens(keys, self._settings.issuer, self._settings.audience),
            pids=self._pids(),
            data_key_file=str(self._settings.data_key_file.absolute()),
        )
        self._publish()
        return self._ready

    def hurry(self) -> None:
        """Make a running or later `stop` kill what does not end at once."""
        self._supervisor.hurry()

    async def stop(self) -> None:
        """End everything that was started and give the home free."""
        if self._listener is not None:
            self._listener.close()
        if self._ready is not None and self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)
        self._ready = None
        if self._supervisor.pids:
            with self._steps.step("shutdown"):
                await self._supervisor.stop()
        self._home.release()

    def _pids(self) -> dict[str, int | list[int] | None]:
        running = self._supervisor.pids
        single = ("http", "relay", "postgres", "valkey", "sandbox")
        workers = [pid for name, pid in running.items() if name.startswith("worker-")]
        return {**{name: running.get(name) for name in single}, "worker": workers}

    def _publish(self) -> None:
        """Write the ready file, once there is one, with the process ids of this moment."""
        if self._ready is not None and self._options.ready_file is not None:
            ready = msgspec.structs.replace(self._ready, pids=self._pids())
            write_ready_file(self._options.ready_file, ready)

    def _environment(self, database_url: str, redis_url: str, at: Addresses) -> dict[str, str]:
        """The settings of the programs, over those of our own environment."""
        environment = {
            "PAYONCE_HOME": str(self._home.path),
            "PAYONCE_SIGNING_KEY_FILE": str(self._settings.signing_key_file.absolute()),
            "PAYONCE_DATA_KEY_FILE": str(self._settings.data_key_file.absolute()),
            "PAYONCE_DATABASE_URL": database_url,
            "PAYONCE_REDIS_URL": redis_url,
            "PAYONCE_STRIPE_API_KEY": SANDBOX_KEY,
            "PAYONCE_STRIPE_API_BASE": at.sandbox_url,
            "PAYONCE_STRIPE_WEBHOOK_SECRET": self._home.webhook_secret,
            "PAYONCE_STRIPE_MULTICAPTURE": "true",  # the sandbox has it
            "PYTHONUNBUFFERED": "1",
        }
        if self._settings.return_url == Settings().return_url:  # not set: its place is our own port
            environment["PAYONCE_RETURN_URL"] = f"{at.api_url}/checkout/return"
        if not self._settings.smtp_url:
            environment["PAYONCE_SMTP_URL"] = f"smtp://127.0.0.1:{at.smtp_port}"
            environment["PAYONCE_MAIL_FROM"] = self._settings.mail_from or MAIL_FROM
        if self._settings.shop_url is None:  # the sandbox's page on which a person pays an order's payment
            environment["PAYONCE_SHOP_URL"] = f"{at.sandbox_url}/_sandbox/pay?orderId={{orderId}}"
        return environment

    async def _start_postgres(self) -> tuple[str, str]:
        """The database's URL of its owner, and that of the application."""

        def program(server: EmbeddedPostgres) -> Program:
            return Program(
                name="postgres",
                command=server.command,
                ready=lambda: _has_database(server, DATABASE),
                stop_signal=SIGINT,
                stop_seconds=20.0,
                kill_signal=SIGQUIT,  # PostgreSQL's immediate shutdown: it takes its children along
                orphan_signal=SIGINT,
            )

        with self._steps.step("PostgreSQL") as note:
            first = EmbeddedPostgres(self._home.postgres)
            await asyncio.to_thread(first.initialize)
            await asyncio.to_thread(first.stop_leftover)
            server = await self._start_server(lambda: EmbeddedPostgres(self._home.postgres), program)
            note(f"port {server.port}")
        return server.url(DATABASE), server.application_url(DATABASE)

    async def _start_valkey(self) -> str:
        def program(server: EmbeddedValkey) -> Program:
            return Program(
                name="valkey", command=server.command, ready=lambda: asyncio.to_thread(server.is_ready)
            )

        with self._steps.step("Valkey") as note:
            server = await self._start_server(lambda: EmbeddedValkey(self._home.valkey), program)
            note(f"port {server.port}")
        return server.url

    async def _start_server(self, make: Callable[[], Server], program: Callable[[Server], Program]) -> Server:
        """Start a server on a port of its own choice, on another one where that was taken meanwhile."""
        for more_attempts in reversed(range(PORT_ATTEMPTS)):
            server = make()
            try:
                await self._supervisor.start(program(server))
                break
            except ProgramFailed:
                if not more_attempts:
                    raise
        return server

    async def _migrate(self, environment: dict[str, str], owner_url: str) -> None:
        """The one program that is told the owner's URL."""
        command = python_command("-m", "entrypoints.cli", "migrate")
        as_owner = {**environment, "PAYONCE_MIGRATION_DATABASE_URL": owner_url}
        with self._steps.step("migrations"):
            await self._supervisor.run(Program(name="migrate", command=command, environment=as_owner))

    async def _start_programs(self, environment: dict[str, str], listener: int, at: Addresses) -> None:
        """Start what stands on the servers. The order matters: the end comes in reverse."""

        def ours(name: str, *arguments: str) -> Program:
            command = python_command("-m", "entrypoints.cli", *arguments)
            return Program(name=name, command=command, environment=environment)

        workers = self._options.workers
        async with httpx.AsyncClient(timeout=5) as client:
            with self._steps.step("sandbox gateway") as note:
                await self._supervisor.start(self._sandbox(client, at))
                note(at.sandbox_url)
            with self._steps.step("relay and worker") as note:
                await self._supervisor.start(ours("relay", "relay"))
                for number in range(1, workers + 1):
                    await self._supervisor.start(ours(f"worker-{number}", "worker"))
                note(f"{workers} worker{'s' * (workers > 1)}")
            with self._steps.step("HTTP") as note:
                http = replace(
                    ours("http", "serve", "--fd", str(listener)),
                    ready=lambda: _answers(client, f"{at.api_url}/readyz"),
                    pass_fds=(listener,),
                )
                await self._supervisor.start(http)
                note(at.api_url)

    def _sandbox(self, client: httpx.AsyncClient, at: Addresses) -> Program:
        return Program(
            name="sandbox",
            command=python_command(
                *("-m", "sandbox"),
                *("--port", at.sandbox_url.rpartition(":")[2]),
                *("--smtp-port", str(at.smtp_port)),
                *("--data", str(self._home.sandbox_data)),
                *("--webhook", f"{at.api_url}/v1/webhooks/stripe"),
                *("--webhook-secret", self._home.webhook_secret),
            ),
            environment={"PYTHONUNBUFFERED": "1"},
            ready=lambda: _answers(client, f"{at.sandbox_url}/healthz"),
        )


def _listen(host: str, port: int) -> socket.socket:
    """The API's socket, held by us: while the HTTP process is restarted, callers wait in its queue."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Port {port} cannot be used ({error.strerror}); choose another with --port, or --port 0 for a free one."
        ) from error
    listener.listen(2048)
    return listener


def _check_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} cannot be used for the sandbox ({error.strerror});"
                " choose another with --sandbox-port, or --sandbox-port 0 for a free one."
            ) from error


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


async def _has_database(server: EmbeddedPostgres, name: str) -> bool:
    """Whether the server answers; this database, and the application's role, are made where there is none."""
    try:
        connection = await asyncpg.connect(server.url(), timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
        for statement in server.application_role():
            await connection.execute(statement)
    finally:
        await connection.close()
    return True
