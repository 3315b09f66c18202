"""What the demo shows in the end: tables of orders, one order's timeline, and the verdict."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from entrypoints.local.demo.client import Json
from entrypoints.local.demo.journeys import EUR, Journey


def delay_seconds(journey: Journey, events: Sequence[Json]) -> float | None:
    """From the last payment event to the moment at which a client saw the order follow it."""
    if journey.reached_at is None:
        return None
    times = [datetime.fromisoformat(event["time"]) for event in events]
    before = [time for time in times if time <= journey.reached_at]
    return (journey.reached_at - max(before)).total_seconds() if before else None


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """A table that folds what is too wide, for an id that is cut short is of no use."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def show_orders(console: Console, journeys: Sequence[Journey], events: Mapping[str, Sequence[Json]]) -> None:
    """One row for each order."""
    table = _table("Orders", ["order", "customer's way", "status"], ["total", "refunded", "event → order"])
    for journey in journeys:
        delay = delay_seconds(journey, events[journey.order_id])
        table.add_row(
            journey.order_id,
            journey.kind,
            journey.order["status"],
            EUR.format(journey.total),
            EUR.format(journey.refunded) if journey.refunded else "",
            "–" if delay is None else f"{delay * 1000:.0f} ms",
        )
    console.print(table)


def show_stock(console: Console, items: Sequence[Json]) -> None:
    """What the orders leave of the goods."""
    table = _table("Stock", ["SKU"], ["on hand", "reserved", "available"])
    for item in items:
        table.add_row(item["sku"], *(str(item[name]) for name in ("onHand", "reserved", "available")))
    console.print(table)


def show_kinds(console: Console, journeys: Sequence[Journey], events: Mapping[str, Sequence[Json]]) -> None:
    """One row for each kind of journey, for runs with many orders."""
    by_kind: defaultdict[str, list[Journey]] = defaultdict(list)
    for journey in journeys:
        by_kind[journey.kind].append(journey)
    table = _table(
        "Orders",
        ["customer's way", "status"],
        ["orders", "paid", "refunded", "event → order", "slowest"],
    )
    for kind, group in by_kind.items():
        delays = [delay_seconds(journey, events[journey.order_id]) for journey in group]
        known = [delay * 1000 for delay in delays if delay is not None]
        table.add_row(
            kind,
            ", ".join(sorted({journey.order["status"] for journey in group})),
            str(len(group)),
            EUR.format(sum(journey.captured for journey in group)),
            EUR.format(sum(journey.refunded for journey in group)),
            f"{median(known):.0f} ms" if known else "–",
            f"{max(known):.0f} ms" if known else "–",
        )
    console.print(table)


def show_mails(console: Console, mails: Sequence[Json]) -> None:
    """What the customers were told."""
    table = _table("Mails", ["to", "subject"], [])
    for mail in mails:
        table.add_row(mail["to"], mail["subject"])
    console.print(table)


def show_verdict(console: Console, orders: int, faults: Mapping[str, Sequence[str]]) -> None:
    """Whether everything happened exactly once; else what did not, order by order."""
    if not faults:
        console.print(
            f"[green]✓[/] {orders} orders: order, payment and gateway agree to the cent, and the stock to the piece;\n"
            "  each payment's events are numbered without a gap. Nothing lost, nothing doubled.",
            highlight=False,
        )
        return
    console.print(f"[red]✗[/] {orders} orders, and this is not as it should be:", highlight=False)
    for subject, sentences in faults.items():
        for sentence in sentences:
            console.print(f"  {subject}: {sentence}", highlight=False, markup=False)
