"""The outbox as a state machine: hypothesis chooses what happens next, checkers say whether it may be so.

All choices come from hypothesis, hence from its seed; the rest is PostgreSQL's scheduling, of which little is
left, since every rule waits until each operation is over, paused or blocked (see operations.py).
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, ClassVar, TypeVar

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from entrypoints.local.postgres import EmbeddedPostgres
from outbox import Report
from tests.simulation.outbox import checkers
from tests.simulation.outbox.dump import Dump
from tests.simulation.outbox.operations import KINDS, Fault, Operation
from tests.simulation.outbox.record import Record
from tests.simulation.outbox.world import (
    ATTEMPTS,
    EAGER,
    ORDERED,
    PAGES,
    PATIENT,
    SWEEPING,
    UNORDERED,
    WRITERS,
    Part,
    World,
)
from tests.support.crash import Crash
from tests.support.postgres import create_database, drop_database

T = TypeVar("T")

FAULTS = st.none() | st.builds(Fault, st.sampled_from(KINDS), st.integers(1, 12))
# One event in five or so fails or ends its worker, a few times or always.
POISONS = st.sampled_from(
    [("fail", 0)] * 16 + [("fail", 1), ("fail", 2), ("fail", 99), ("crash", 1), ("crash", 99)]
)
PARTS = st.builds(
    Part,
    stream=st.sampled_from((*ORDERED, *ORDERED, *UNORDERED)),
    count=st.integers(1, 3),
    savepoint=st.sampled_from(("none", "none", "release", "roll back")),
    poison=POISONS,
)
ACCIDENTS = (
    "time passes",
    "time passes",
    "a day passes",
    "days are dropped",
    "a dump is taken",
    "the broker forgets",
    "connections break",
)
UNDER_WAY = 3  # operations that may be paused or blocked at a time
ROUNDS = 150  # of delivery, after which the system must have come to rest


class Violation(AssertionError):
    """A checker found something."""


class OutboxMachine(RuleBasedStateMachine):
    server: ClassVar[EmbeddedPostgres]
    template: ClassVar[str]
    totals: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.url, self.observer, self.world = self.runner.run(self._open())
        self.sweeps = False
        self.forgets_at_the_end = False
        self.dumps: list[Dump] = []
        self.struck = 0  # faults that may have cost an event an attempt
        self.disturbed = False  # connections in the pool were killed
        self.totals["runs"] += 1

    async def _open(self) -> tuple[str, asyncpg.Connection, World]:
        url = await create_database(self.server, self.template)
        observer = await asyncpg.connect(url)
        world = World(url, observer)
        await world.open()
        return url, observer, world

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    # Writers

    @initialize(sweeps=st.booleans(), forgets=st.booleans())
    def begin(self, sweeps: bool, forgets: bool) -> None:
        self.sweeps, self.forgets_at_the_end = sweeps, forgets

    @rule(
        writer=st.integers(0, WRITERS - 1),
        parts=st.lists(PARTS, min_size=1, max_size=2),
        early=st.booleans(),
        end=st.sampled_from(("later", "later", "commit", "commit", "roll back")),
    )
    def write(self, writer: int, parts: list[Part], early: bool, end: str) -> None:
        chosen = self.world.writers[writer]
        for part in parts:
            self.run(self.world.write(chosen, part, early=early))
        if end != "later":
            self.run(self.world.end(chosen, end))

    @rule(writer=st.integers(0, WRITERS - 1), how=st.sampled_from(("commit", "commit", "roll back", "kill")))
    def end_writer(self, writer: int, how: str) -> None:
        chosen = self.world.writers[writer]
        if how == "kill":  # the writer learns of it when it goes on
            self.run(self.world.kill_writer(chosen))
        else:
            self.run(self.world.end(chosen, how))

    write_more = write
    write_even_more = write

    # Relays

    @rule(relay=st.integers(0, len(PAGES) - 1), fault=FAULTS, accept=st.none() | st.integers(0, 4))
    def relay(self, relay: int, fault: Fault | None, accept: int | None) -> None:
        self.world.broker.accept = accept
        self.operate("relay", self.world.relays[relay].drain, fault, accept is not None)
        self.world.broker.accept = None

    relay_more = relay

    # Consumers

    @rule(
        topic=st.sampled_from(("ordered", "ordered", "unordered")),
        picks=st.lists(st.integers(0, 9), min_size=1, max_size=6),
        fault=FAULTS,
        slow=st.none() | st.integers(4, 10),
    )
    def deliver(self, topic: str, picks: list[int], fault: Fault | None, slow: int | None) -> None:
        """Perhaps to two workers: the broker gives up on the first, who has only stopped at this step."""
        queue = self.world.queue(topic)
        if queue:
            batch = [queue[pick % len(queue)] for pick in picks]
            if slow is not None:
                fault = Fault("pause", slow)
            self.operate("receive", partial(self.world.receive, batch, topic), fault)
            if slow is not None:
                self.operate("receive", partial(self.world.receive, batch, topic), None)

    deliver_more = deliver

    @rule(topic=st.sampled_from(("ordered", "unordered")))
    def deliver_all(self, topic: str) -> None:
        batch = self.world.queue(topic)
        self.operate("receive", partial(self.world.receive, batch, topic), None)

    @rule(fault=FAULTS)
    def run_due(self, fault: Fault | None) -> None:
        self.operate("run due", self.world.run_due, fault)

    @precondition(lambda self: not self.world.vanished)  # an operator may mend a fork by halves
    @rule(which=st.integers(0, len(ORDERED) - 1), fault=FAULTS, skips=st.booleans())
    def operator(self, which: int, fault: Fault | None, skips: bool) -> None:
        """Decides about a stream in which something failed, or, where none has, about any."""
        streams = self.run(self.world.troubled()) or ORDERED
        decide = self.world.operator_skips if skips else self.world.operator_retries
        self.operate("operator", partial(decide, streams[which % len(streams)]), fault)

    # Anti-entropy

    @rule(eager=st.booleans(), fault=FAULTS, accept=st.none() | st.integers(0, 4))
    def anti_entropy(self, eager: bool, fault: Fault | None, accept: int | None) -> None:
        kind = EAGER if eager else SWEEPING if self.sweeps else PATIENT
        self.world.broker.accept = accept
        call = self.world.anti_entropies[kind].run_once
        self.operate("anti-entropy", call, fault, accept is not None)
        self.world.broker.accept = None

    # The world

    @rule(what=st.sampled_from(ACCIDENTS))
    def accident(self, what: str) -> None:
        if what == "time passes":
            self.run(self.world.time_passes())
        elif what == "a day passes":
            self.run(self.world.a_day_passes())
        elif what == "days are dropped":
            self.operate("drop", self.world.drop_days, None)
        elif what == "a dump is taken":
            self.dump()
        elif what == "the broker forgets":
            self.world.broker.forget()
        else:
            self.disturbed = True
            self.run(self.world.kill_idle())

    def dump(self) -> None:
        self.dumps.append(Dump())
        self.run(self.dumps[-1].take(self.observer))

    @precondition(lambda self: self.dumps)
    @rule(fresh=st.booleans(), offset=st.sampled_from((0, 30, 100_000)))
    def restore(self, fresh: bool, offset: int) -> None:
        """The producer is restored into another cluster: as it is, or as it was when it was last dumped."""
        for writer in self.world.writers:
            self.run(self.world.end(writer, "roll back"))
        self.let_go_on(dead=True)
        if fresh:
            self.dump()
        self.run(self.world.restore(self.dumps[-1], offset))

    @precondition(lambda self: self.world.stage.operations)
    @rule(which=st.integers(0, UNDER_WAY - 1), dead=st.booleans())
    def wake(self, which: int, dead: bool) -> None:
        """Whoever is paused goes on, perhaps after the server gave up on it; whoever is blocked can only be killed."""
        operations = self.world.stage.operations
        operation = operations[which % len(operations)]
        if dead:
            self.run(self.world.stage.end_backends(operation))
        self.run(self.world.stage.resume(operation))
        self.reap()

    # How all of it is run

    def operate(
        self, name: str, call: Callable[[], Awaitable[Any]], fault: Fault | None, may_fail: bool = False
    ) -> None:
        if len(self.world.stage.operations) >= UNDER_WAY:
            self.run(self.world.stage.resume(self.world.stage.operations[0]))
        if len(self.world.stage.operations) >= UNDER_WAY:
            self.reap()
        operation = self.run(self.world.stage.start(name, call, fault))
        operation.may_fail = may_fail
        self.reap()

    def let_go_on(self, *, dead: bool) -> None:
        """Whatever is under way comes to its end, or, where it is dead, to the end of its sessions."""
        while self.world.stage.operations:
            if dead:
                self.run(self.world.stage.end_backends(self.world.stage.operations[0]))
            self.run(self.world.stage.resume(self.world.stage.operations[0]))
            self.reap()

    def reap(self) -> None:
        for operation in self.world.stage.take_ended():
            self.totals[operation.name] += 1
            self.struck += operation.course.has_struck
            self.judge(operation)

    def judge(self, operation: Operation) -> None:
        """An operation fails only where something was done to it."""
        error = operation.error
        if error is None:
            return
        self.totals["failed operations"] += 1
        is_crash = isinstance(error, Crash)
        state = getattr(getattr(error, "orig", error), "sqlstate", None)
        if is_crash or (state or "")[:2] not in {"22", "23", "42", "XX", "40"}:
            was_disturbed = self.disturbed or operation.course.has_struck or operation.may_fail
            # Whoever waits for somebody that is paused may run out of time, for the lock or for the statement.
            if is_crash or was_disturbed or state in {"55P03", "57014"}:
                self.struck += is_crash or was_disturbed
                return
        raise Violation(f"{operation.name} failed by itself") from error

    def report(self, found: Iterable[str]) -> None:
        if problems := list(found):
            raise Violation("\n".join(problems))

    @invariant()
    def nothing_is_wrong_at_any_time(self) -> None:
        self.totals["steps"] += 1
        self.check(self.run(self.world.look()))

    def check(self, seen: Record) -> None:
        published = self.world.published
        ids = {event.id for event in published}
        known = {*seen.facts, *self.world.vanished}
        may_fork = {fact.stream for fact in self.world.vanished}
        self.report(
            [
                *checkers.ghosts(seen.effects, known),
                *checkers.doubled(seen.effects),
                *checkers.inverted(seen.effects, seen.skipped),
                *checkers.misplaced(seen.streams, seen.effects, seen.skipped),
                *checkers.unexplained(seen.held),
                *checkers.invented(published, known),
                *checkers.published_out_of_order(published),
                *checkers.run_ahead(seen.places, seen.log, ids),
                *(f"{stream} is forked" for stream in seen.forked if stream not in may_fork),
            ]
        )
        if self.struck < ATTEMPTS:
            self.report(checkers.blamed(seen.held, self.world.poisonous))

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.come_to_rest()
        finally:
            self.totals["kills"] += self.world.stage.kills
            self.totals["events"] += self.world.written
            self.run(self._close())
            self.runner.close()

    async def _close(self) -> None:
        for operation in self.world.stage.operations:
            operation.task.cancel()
        await asyncio.gather(*(o.task for o in self.world.stage.operations), return_exceptions=True)
        await self.world.close()
        await self.observer.close()
        await drop_database(self.server, self.url)

    # The end: everything is let go on, and must come to rest with nothing lost

    def come_to_rest(self) -> None:
        for number, writer in enumerate(self.world.writers):
            self.run(self.world.end(writer, "commit" if number % 2 == 0 else "roll back"))
        self.let_go_on(dead=False)
        self.run(self.world.engine.dispose())  # the pool may hold connections that were killed
        self.disturbed = False
        self.operate("relay", self.world.relays[-1].drain, None)
        seen = self.run(self.world.look())
        self.check(seen)
        self.report(checkers.unpublished(seen.facts, {event.id for event in self.world.published}))
        if self.forgets_at_the_end:
            self.world.broker.forget()
        self.deliver_until_quiet()
        seen = self.run(self.world.look())
        self.check(seen)
        ordered = [fact for fact in seen.facts if fact.sequence is not None]
        self.report(checkers.mistaken(ordered, seen.effects, seen.forked))
        self.report(checkers.lost(ordered, seen.effects, seen.skipped, seen.held, seen.forked))
        self.report(self.run(self.untold(seen)))

    def deliver_until_quiet(self) -> None:
        """Deliver, let time pass, run what is due and compare, until nothing is left to do."""
        anti_entropy = self.world.anti_entropies[EAGER]
        for _ in range(ROUNDS):
            for topic in ("ordered", "unordered"):
                self.deliver_in_order(topic)
            self.run(self.world.time_passes())
            self.run_due(None)
            report = self.run(anti_entropy.run_once())
            due = self.run(
                self.observer.fetchval("SELECT count(*) FROM orders.inbox_waiting WHERE due_at IS NOT NULL")
            )
            told = self.run(
                self.observer.fetchval("SELECT count(*) FROM orders.inbox_event WHERE due_at IS NOT NULL")
            )
            if not (due or told or report != Report() or self.world.broker.events):
                return
        raise Violation("the system does not come to rest")

    def deliver_in_order(self, topic: str) -> None:
        queue = self.world.queue(topic)
        for first in range(0, len(queue), 5):
            batch = queue[first : first + 5]
            self.operate("receive", partial(self.world.receive, batch, topic), None)

    async def untold(self, seen: Record) -> list[str]:
        """Committed unordered events that the world was not told of, though nobody parked or skipped them."""
        rows = await self.observer.fetch(
            "SELECT id FROM orders.inbox_event WHERE parked_at IS NOT NULL OR skip_reason IS NOT NULL"
        )
        known = {row["id"] for row in rows} | set(self.world.mail_sent.told)
        return [f"{f} was never told" for f in seen.facts if f.sequence is None and f.id not in known]
