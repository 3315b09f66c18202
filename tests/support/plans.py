"""Plans of what is really executed: each statement is explained, with its arguments, just before it runs.

Explained in a savepoint that is rolled back, on the same session and under the same settings: once with the
plan for these arguments, once with a generic one made now, and once as the session has it prepared, with the
plan that it may have made long ago.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.driver import ProbedConnection, aside

# What is not planned.
_CONTROL = (
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "release",
    "set",
    "lock",
    "show",
    "truncate",
    "notify",
)


@dataclass(frozen=True)
class Plan:
    """How a statement was carried out, and what that cost."""

    statement: str
    kind: str
    tree: dict[str, Any]

    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [self.tree]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.get("Plans", ()))

    def scanned(self, *, more_than: int) -> set[str]:
        """The tables that are read from one end to the other and have more rows than this."""
        return {
            node["Relation Name"]
            for node in self.nodes()
            if node["Node Type"] == "Seq Scan"
            and node["Actual Rows"] + node.get("Rows Removed by Filter", 0) > more_than
        }

    @property
    def rows(self) -> float:
        """Returned or written."""
        top = self.tree
        while top["Node Type"] == "ModifyTable":
            top = top["Plans"][0]
        return float(top["Actual Rows"] * top["Actual Loops"])

    @property
    def read(self) -> float:
        """The most that one scan has read."""
        return float(
            max(
                (n["Actual Rows"] * n["Actual Loops"] for n in self.nodes() if "Scan" in n["Node Type"]),
                default=0,
            )
        )

    @property
    def discarded(self) -> float:
        """Rows that were read for nothing."""
        removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        return float(
            sum(node["Actual Loops"] * sum(node.get(why, 0) for why in removed) for node in self.nodes())
        )

    @property
    def buffers(self) -> int:
        return int(self.tree["Shared Hit Blocks"] + self.tree["Shared Read Blocks"])

    def __str__(self) -> str:
        lines = [
            f"{n['Node Type']} {n.get('Index Name') or n.get('Relation Name', '')}: {n['Actual Rows']} rows × {n['Actual Loops']}"
            for n in self.nodes()
        ]
        return f"{self.kind} of {self.statement}, {self.buffers} buffers\n  " + "\n  ".join(lines)


@dataclass
class Explainer:
    """A probe that explains what touches these schemas.

    `most` bounds how often the same statement is explained, since a backlog repeats it. Each explanation
    leaves dead rows behind: without `prepared` there is one less, of the plan that the session has.
    """

    schemas: tuple[str, ...]
    most: int = 3
    prepared: bool = True
    plans: list[Plan] = field(default_factory=list)
    _seen: dict[str, int] = field(default_factory=dict)

    async def around(
        self, connection: ProbedConnection, statement: str, arguments: Any, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        parts = [statement] if arguments else statement.split(";")  # one round trip may bring several
        for text in (" ".join(part.split()) for part in parts):
            if self._touches(text) and not text.lower().startswith(_CONTROL):
                await self._explain(connection, text, arguments)
        return await call()

    async def _explain(self, connection: ProbedConnection, text: str, arguments: Any) -> None:
        self._seen[text] = self._seen.get(text, 0) + 1
        if self._seen[text] <= self.most:
            with aside(connection):
                name = connection._protocol.prepared_as
                self.plans += [
                    await explain(connection, text, arguments, custom=True),
                    await explain(connection, text, arguments),
                    *(
                        [await explain(connection, text, arguments, prepared_as=name)]
                        if name and self.prepared
                        else []
                    ),
                ]

    def _touches(self, statement: str) -> bool:
        return any(f"{schema}." in statement for schema in self.schemas)


async def explain(
    connection: ProbedConnection,
    statement: str,
    arguments: Any,
    *,
    custom: bool = False,
    prepared_as: str | None = None,
) -> Plan:
    """SQLAlchemy has taught the session to read JSON."""
    is_inside = connection.is_in_transaction()
    await connection.execute("SAVEPOINT explaining" if is_inside else "BEGIN")
    try:
        mode = "force_custom_plan" if custom else "force_generic_plan"
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        asked = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF)"
        if not arguments:
            found = await connection.fetchval(f"{asked} {statement}")
        else:
            types, literals = await _written(connection, statement, arguments)
            name = prepared_as or "explained"
            if prepared_as is None:
                await connection.execute(f"PREPARE explained ({types}) AS {statement}")
            try:
                found = await connection.fetchval(f'{asked} EXECUTE "{name}" ({literals})')
            finally:
                if prepared_as is None:
                    await connection.execute("DEALLOCATE explained")
        kind = "prepared plan" if prepared_as else "plan" if custom else "generic plan"
        return Plan(statement, kind, found[0]["Plan"])
    finally:
        await connection.execute("ROLLBACK TO explaining" if is_inside else "ROLLBACK")


async def _written(connection: ProbedConnection, statement: str, arguments: Any) -> tuple[str, str]:
    """The types of a statement's parameters and these arguments, as SQL."""
    prepared = await connection.prepare(statement)
    types = [
        f"{t.schema}.{t.name.removesuffix('[]')}" + "[]" * t.name.endswith("[]")
        for t in prepared.get_parameters()
    ]
    columns = ", ".join(f"quote_nullable(${n}::{kind}::text)" for n, kind in enumerate(types, 1))
    literals = await connection.fetchrow(f"SELECT {columns}", *arguments)
    assert literals is not None
    return ", ".join(types), ", ".join(literals)


def wasteful(plans: Iterable[Plan], *, never_scanned: tuple[str, ...] = ()) -> list[str]:
    """Those that read a table to its end, or much more than they need; some tables not even while they are small."""
    return [
        str(plan)
        for plan in plans
        if plan.scanned(more_than=100)
        or any(name.startswith(never_scanned) for name in plan.scanned(more_than=-1))
        or plan.discarded > 100 + 2 * plan.rows
        or plan.read > 1_000 + 10 * plan.rows
        or plan.buffers > 1_000 + 30 * plan.rows
    ]
