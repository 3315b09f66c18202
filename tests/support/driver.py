"""A place between asyncpg and its wire, where a test sees every round trip and may interfere.

It lies below SQLAlchemy and below asyncpg's own API, so that it catches whatever is executed, however it
was written.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

import asyncpg


class Probe(Protocol):
    """What stands beside the round trips of one task and of those that it starts."""

    async def around(
        self,
        connection: "ProbedConnection",
        statement: str,
        arguments: Any,
        call: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Make the call, which sends the statement, and return what it returns, or interfere."""


probe: ContextVar[Probe | None] = ContextVar("probe", default=None)


class ProbedConnection(asyncpg.Connection):  # type: ignore[misc]
    """To be handed to an engine: `connect_args={"connection_class": ProbedConnection}`."""

    __slots__ = ()

    def __init__(self, protocol: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(_ProbedProtocol(protocol, self), *arguments, **named)


@contextmanager
def aside(connection: ProbedConnection) -> Iterator[None]:
    """Lets a probe use the connection that it stands beside, unseen by probes."""
    token = probe.set(None)
    section = connection._stmt_exclusive_section
    connection._stmt_exclusive_section = type(section)()
    try:
        yield
    finally:
        connection._stmt_exclusive_section = section
        probe.reset(token)


class _ProbedProtocol:
    """asyncpg's protocol with its round trips in our hands. Preparing a statement executes nothing."""

    def __init__(self, protocol: Any, connection: ProbedConnection) -> None:
        self._protocol = protocol
        self._connection = connection
        self.prepared_as = ""  # the name on the server of what is being executed; none for a text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    async def query(self, query: str, *rest: Any) -> Any:
        self.prepared_as = ""
        return await self._probed(query, (), partial(self._protocol.query, query, *rest))

    async def bind_execute(self, state: Any, args: Any, *rest: Any, **named: Any) -> Any:
        self.prepared_as = state.name
        call = partial(self._protocol.bind_execute, state, args, *rest, **named)
        return await self._probed(state.query, args, call)

    async def bind_execute_many(self, state: Any, args: Any, *rest: Any, **named: Any) -> Any:
        self.prepared_as = state.name
        call = partial(self._protocol.bind_execute_many, state, args, *rest, **named)
        return await self._probed(state.query, args, call)

    async def _probed(self, statement: str, arguments: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        here = probe.get()
        if here is None:
            return await call()
        return await here.around(self._connection, statement, arguments, call)
