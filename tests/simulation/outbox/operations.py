"""Operations that run as tasks and meet a fault at one of their steps: a round trip, or a publication.

Nothing here depends on time. An operation is *settled* when it is over, waits at its pause, or waits for a
lock that somebody else holds; after each rule all of them are, so that the same choices lead to the same
meetings. What remains PostgreSQL's own affair is who gets a lock for which several wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from tests.support.crash import Crash
from tests.support.driver import ProbedConnection, probe

Kind = Literal["kill", "lose the answer", "crash before", "crash after", "pause"]
KINDS: tuple[Kind, ...] = ("kill", "lose the answer", "crash before", "crash after", "pause", "pause")


ENDLESS = 3_000  # steps


class EndlessOperation(AssertionError):
    """An operation runs in circles."""


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th step of an operation, counted from 1."""

    kind: Kind
    step: int


@dataclass
class Course:
    """How far one operation has come, seen from its round trips."""

    fault: Fault | None
    kill: Callable[[int], Awaitable[None]]  # ends the backend with this pid, and returns when it is gone
    moved: asyncio.Event
    steps: int = 0
    has_struck: bool = False
    is_dead: bool = False
    is_paused: bool = False
    in_flight: set[ProbedConnection] = field(default_factory=set)
    paused_on: ProbedConnection | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def around(
        self, connection: ProbedConnection, statement: str, arguments: Any, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        self._stay_dead()
        self.steps += 1
        if self.steps > ENDLESS:
            raise EndlessOperation(f"after {ENDLESS} steps, before {' '.join(statement.split())}")
        strikes = self.fault.kind if self.fault is not None and self.steps == self.fault.step else None
        if strikes == "kill":
            self.has_struck = True
            await self.kill(connection.get_server_pid())
        elif strikes == "pause":
            await self._pause(connection)
        elif strikes == "crash before":
            self._die()
        self.in_flight.add(connection)
        try:
            result = await call()
        finally:
            self.in_flight.discard(connection)
        self._stay_dead()
        if strikes == "lose the answer":
            self.has_struck = True
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("the connection broke before the answer")
        if strikes == "crash after":
            self._die()
        return result

    async def publication(self) -> None:
        """A step without a connection: nothing to kill, but a process can stop or end here."""
        self._stay_dead()
        self.steps += 1
        if self.fault is not None and self.steps == self.fault.step:
            if self.fault.kind == "pause":
                await self._pause(None)
            elif self.fault.kind.startswith("crash"):
                self._die()

    async def _pause(self, connection: ProbedConnection | None) -> None:
        self.has_struck = True
        self.is_paused, self.paused_on = True, connection
        self.moved.set()
        await self.gate.wait()
        self.is_paused, self.paused_on = False, None

    def _die(self) -> None:
        self.has_struck = self.is_dead = True
        raise Crash("the process is gone")

    def _stay_dead(self) -> None:
        if self.is_dead:
            raise Crash("the process is gone")


class Operation:
    """One call of the outbox, with the course it takes."""

    def __init__(self, name: str, call: Callable[[], Awaitable[Any]], course: Course) -> None:
        self.name = name
        self.course = course
        self.may_fail = False  # whoever started it knows a reason
        context = copy_context()
        context.run(probe.set, course)
        self.task = asyncio.create_task(self._run(call), name=name, context=context)
        self.task.add_done_callback(lambda _: course.moved.set())

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    @property
    def is_over(self) -> bool:
        return self.task.done() and not self.course.in_flight

    @property
    def error(self) -> BaseException | None:
        return self.task.exception() if self.task.done() else None

    @property
    def pids(self) -> list[int]:
        """Of the backends that this operation waits for, or has stopped beside."""
        held = {*self.course.in_flight, *({self.course.paused_on} - {None})}
        return [
            connection.get_server_pid() for connection in held if connection and not connection.is_closed()
        ]


class Stage:
    """The operations that are under way."""

    def __init__(self, observer: asyncpg.Connection) -> None:
        self.observer = observer
        self.moved = asyncio.Event()
        self.operations: list[Operation] = []
        self.kills = 0

    async def kill(self, pid: int) -> None:
        self.kills += 1
        await self.observer.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)

    async def start(self, name: str, call: Callable[[], Awaitable[Any]], fault: Fault | None) -> Operation:
        operation = Operation(name, call, Course(fault, self.kill, self.moved))
        self.operations.append(operation)
        await self.settle()
        return operation

    async def settle(self) -> None:
        """Return when each operation is over, paused, or waits for a lock."""
        while True:
            self.moved.clear()
            moving = [o for o in self.operations if not o.is_over and not self._rests(o)]
            if not moving:
                return
            try:
                async with asyncio.timeout(0.02):
                    await self.moved.wait()
            except TimeoutError:
                if await self._are_blocked(moving):
                    return

    @staticmethod
    def _rests(operation: Operation) -> bool:
        return operation.course.is_paused and not operation.course.in_flight

    async def _are_blocked(self, operations: Sequence[Operation]) -> bool:
        pids = [operation.pids for operation in operations]
        if not all(pids):
            return False
        blocked = await self.observer.fetchval(
            "SELECT bool_and(cardinality(pg_blocking_pids(pid)) > 0) FROM unnest($1::int[]) AS pid",
            [pid for some in pids for pid in some],
        )
        return bool(blocked)

    def take_ended(self) -> list[Operation]:
        """The operations that are over, each handed out once."""
        ended = [operation for operation in self.operations if operation.is_over]
        self.operations = [operation for operation in self.operations if not operation.is_over]
        return ended

    async def resume(self, operation: Operation) -> None:
        operation.course.gate.set()
        await self.settle()

    async def end_backends(self, operation: Operation) -> None:
        """The server ends this operation's sessions; it notices when it wakes up."""
        operation.course.has_struck = True
        for pid in operation.pids:
            await self.kill(pid)
        await self.settle()
