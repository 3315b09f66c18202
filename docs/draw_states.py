"""Draws docs/states.md and docs/states/*.svg from the state machines that the domain obeys: `make states`.

The layout is Graphviz's, by a program from PyPI that gives the same bytes on every machine.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from domain.orders.states import ORDER_TRANSITIONS
from domain.orders.webhooks.delivery import DELIVERY_TRANSITIONS
from domain.payments.dispute_status import DISPUTE_TRANSITIONS
from domain.payments.gateway import IntentStatus
from domain.payments.states import (
    INTENT_TRANSITIONS,
    OPERATION_TRANSITIONS,
    REFUND_TRANSITIONS,
    UNDECIDED,
)
from domain.shared.states import State

DOCS = Path(__file__).parent
GRAPHVIZ = Path(sys.executable).with_name("graphviz-pure")

FONT = "Arimo"  # comes with the program and is as wide as Arial

Steps = Mapping[Any, Mapping[Any, str]]


@dataclass(frozen=True)
class Machine:
    """`groups` are states drawn in one frame, because they share where they lead to."""

    name: str
    about: str
    steps: Steps
    groups: Mapping[str, tuple[State, ...]]

    @property
    def states(self) -> list[State]:
        kind: type[State] = type(next(filter(None, self.steps)))
        return list(kind)


@dataclass(frozen=True)
class Arrow:
    """`before` and `after` are states or names of groups; `before` is None for what is new."""

    before: State | str | None
    after: State | str
    why: str


def _machines() -> list[Machine]:
    order = {str(state): state for state in ORDER_TRANSITIONS if state is not None}

    def of_order(*names: str) -> tuple[State, ...]:
        return tuple(order[name] for name in names)

    undecided = tuple(state for state in IntentStatus if state in UNDECIDED)
    return [
        Machine(
            "payment",
            "One payment intent at the gateway. The rows of `payments.payment` are held to this by the database.",
            INTENT_TRANSITIONS,
            {"undecided": undecided},
        ),
        Machine(
            "refund",
            "Money on its way back. Held by the database, except that a refund which we gave up as never "
            "received, and which the gateway has after all, is taken up again and flagged.",
            REFUND_TRANSITIONS,
            {},
        ),
        Machine(
            "operation",
            "One call to the gateway that can move money, saved before it is sent. Held by the database.",
            OPERATION_TRANSITIONS,
            {},
        ),
        Machine(
            "dispute",
            "A chargeback or an inquiry. Only the gateway moves it, so that the database keeps whatever it "
            "reports; a report that leads nowhere from here is old.",
            DISPUTE_TRANSITIONS,
            {},
        ),
        Machine(
            "order",
            "What was bought. The database holds an order to what can be reached, since one change of its row "
            "may fold several events.",
            ORDER_TRANSITIONS,
            {
                "before money": of_order(
                    "DRAFT", "PENDING_PAYMENT", "AWAITING_USER_PAYMENT_ACTION", "PAYMENT_FAILED"
                ),
                "paid": of_order("PAID", "PROCESSING_FULFILLMENT", "FULFILLED"),
                "given back": of_order("PARTIALLY_REFUNDED", "REFUNDED"),
            },
        ),
        Machine(
            "delivery",
            "One event for one webhook endpoint; [webhooks.md](webhooks.md) says when it is sent.",
            DELIVERY_TRANSITIONS,
            {},
        ),
    ]


def arrows(machine: Machine) -> Iterator[Arrow]:
    """The steps, those that all members of a group share drawn once."""
    left = {(before, after): why for before, steps in machine.steps.items() for after, why in steps.items()}
    ends: list[tuple[State | str, tuple[State, ...]]] = [
        *machine.groups.items(),
        *((state, (state,)) for state in machine.states),
    ]
    for (before, starts), (after, stops) in product(ends, ends):
        pairs = list(product(starts, stops))
        whys = {left.get(pair) for pair in pairs}
        if before is not after and len(pairs) > 1 and len(whys) == 1 and (why := whys.pop()) is not None:
            yield Arrow(before, after, why)
            for pair in pairs:
                del left[pair]
    for group in machine.groups.values():
        inside = [pair for pair in product(group, group) if pair[0] is not pair[1]]
        if all(pair in left for pair in inside):  # the frame says so
            for pair in inside:
                del left[pair]
    for (first, then), why in left.items():
        yield Arrow(first, then, why)


def title(machine: Machine, group: str) -> str:
    states = machine.groups[group]
    free = all(after in machine.steps[before] for before in states for after in states if before is not after)
    return f"{group}: each may follow each" if free else group


def _name(end: State | str | None) -> str:
    if end is None:
        return "new"
    return end.value if isinstance(end, State) else end.replace(" ", "_")


def mermaid(machine: Machine) -> str:
    lines = ["stateDiagram-v2"]
    for group, states in machine.groups.items():
        lines.append(f'    state "{title(machine, group)}" as {_name(group)} {{')
        lines += [f"        {state.value}" for state in states]
        lines.append("    }")
    for arrow in arrows(machine):
        before = "[*]" if arrow.before is None else _name(arrow.before)
        lines.append(f"    {before} --> {_name(arrow.after)} : {arrow.why}")
    lines += [f"    {state.value} --> [*]" for state in machine.states if not machine.steps[state]]
    return "\n".join(lines)


def dot(machine: Machine) -> str:
    """The same for Graphviz, where an arrow from a frame starts at one of its states and is cut at the edge."""
    font = f'fontname="{FONT}"'
    lines = [
        f"digraph {machine.name} {{",
        f'compound=true; nodesep=0.5; ranksep=0.7; bgcolor="white"; {font}',
        f'node [shape=box, style="rounded,filled", fillcolor="#eef3fb", color="#4a6fa5", fontsize=12, {font}]',
        f'edge [color="#555555", fontsize=10, {font}]',
        "new [shape=point, width=0.15]",
    ]
    for group, states in machine.groups.items():
        names = "; ".join(_name(state) for state in states)
        label = f'label="{title(machine, group)}"; style="rounded,dashed"; color="#888888"; fontsize=11'
        lines.append(f"subgraph cluster_{_name(group)} {{ {label}; {names} }}")
    for state in machine.states:
        final = ', peripheries=2, fillcolor="#f4f4f4"' if not machine.steps[state] else ""
        lines.append(f'{_name(state)} [label="{state.value}"{final}]')
    for arrow in arrows(machine):
        cut = ""
        ends = []
        for end, where in ((arrow.before, "ltail"), (arrow.after, "lhead")):
            if isinstance(end, State) or end is None:
                ends.append(_name(end))
            else:
                cut += f", {where}=cluster_{_name(end)}"
                ends.append(_name(machine.groups[end][-1 if where == "ltail" else 0]))
        lines.append(f'{ends[0]} -> {ends[1]} [label=" {arrow.why} "{cut}]')
    return "\n".join([*lines, "}"])


def svg(machine: Machine) -> str:
    drawn = subprocess.run(
        [GRAPHVIZ, "-Tsvg"], input=dot(machine), check=True, capture_output=True, text=True
    ).stdout
    # From the document type on it is the drawing; what is above names the program's version.
    return drawn[drawn.index("<svg") :].replace(f'"{FONT}"', f'"{FONT},Arial,Helvetica,sans-serif"')


def table(machine: Machine) -> str:
    rows = ["| state | what it means | what may follow |", "|---|---|---|"]
    for state in machine.states:
        following = "<br>".join(f"`{after.value}`: {why}" for after, why in machine.steps[state].items())
        rows.append(f"| `{state.value}` | {state.meaning} | {following or 'final'} |")
    return "\n".join(rows)


def files() -> dict[Path, str]:
    """What this script makes, by its path."""
    made: dict[Path, str] = {}
    parts = [
        "# States",
        "Drawn by `make states` from the transition tables that the code obeys and the database enforces: "
        "[payments](../src/domain/payments/states.py), [disputes](../src/domain/payments/dispute_status.py), "
        "[orders](../src/domain/orders/states.py), [deliveries](../src/domain/orders/webhooks/delivery.py). "
        "A test holds this page to them.",
    ]
    for machine in _machines():
        picture = DOCS / "states" / f"{machine.name}.svg"
        made[picture] = svg(machine)
        first = machine.steps[None]
        begins = ", ".join(f"`{state.value}` ({why})" for state, why in first.items())
        parts += [
            f"## {machine.name.capitalize()}",
            machine.about,
            f"![The states of a {machine.name}](states/{picture.name})",
            f"A new one is {begins}.",
            table(machine),
            f"<details><summary>The same for Mermaid</summary>\n\n```mermaid\n{mermaid(machine)}\n```\n\n</details>",
        ]
    made[DOCS / "states.md"] = "\n\n".join(parts) + "\n"
    return made


def main() -> None:
    for path, content in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
