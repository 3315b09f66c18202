"""`payonce demo`."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from entrypoints.cli.checklist import Checklist
from entrypoints.cli.explain_show import show_explained
from entrypoints.cli.running import run_system
from entrypoints.cli.up import start_failed
from entrypoints.environment import load_settings
from entrypoints.http.schemas.timeline import ExplainAnswer
from entrypoints.local.demo.checks import Auditor
from entrypoints.local.demo.client import Json, Unexpected
from entrypoints.local.demo.journeys import TOUR, WAYS, Journey, Shop, run_journey
from entrypoints.local.demo.show import (
    delay_seconds,
    show_kinds,
    show_mails,
    show_orders,
    show_stock,
    show_verdict,
)
from entrypoints.local.ready import Ready
from entrypoints.local.supervisor import ProgramFailed
from entrypoints.local.system import System, SystemOptions

CALL_SECONDS = 30.0
PLAIN_WIDTH = 130  # of tables that go to a file or a pipe


@click.command()
@click.option(
    "--orders",
    type=click.IntRange(1, 100_000),
    help="Place this many orders of all kinds, not the guided tour.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=4, show_default=True, help="Customers at a time."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the system's data there (default: a temporary folder, removed in the end).",
)
@click.option(
    "--ready-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use the running system that wrote this file (`payonce up --ready-file`).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON; progress goes to stderr.")
def command(
    orders: int | None,
    concurrency: int,
    workers: int,
    home: Path | None,
    ready_file: Path | None,
    as_json: bool,
) -> None:
    """Ends with exit code 1 and a list if anything was lost or done twice."""
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    demo = Demo(console, orders, concurrency, as_json)
    if ready_file is not None:
        ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
        sys.exit(_code_of(demo.run(ready)))
    with tempfile.TemporaryDirectory(prefix="payonce-demo-") as folder:
        path = home or Path(folder)
        settings = load_settings({**os.environ, "PAYONCE_HOME": str(path)})
        options = SystemOptions(home=path, port=0, sandbox_port=0, workers=workers)
        system = System(options, settings, Checklist(console))

        async def work() -> int:
            return await demo.run(await system.start())

        code = _code_of(run_system(system, work))
    sys.exit(code)


def _code_of(work: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(work)
    except ProgramFailed as failed:
        raise start_failed(failed) from failed
    except Unexpected as error:
        raise click.ClickException(str(error)) from error


class Demo:
    """Customers on a running system, and the check of what became of them."""

    def __init__(self, console: Console, orders: int | None, concurrency: int, as_json: bool):
        self._console = console
        self._is_tour = orders is None
        kinds = TOUR if orders is None else tuple(WAYS)
        self._journeys = [
            Journey(n, kinds[n % len(kinds)]) for n in range(len(kinds) if orders is None else orders)
        ]
        self._concurrency = concurrency
        self._as_json = as_json

    async def run(self, ready: Ready) -> int:
        """Place the orders, check and show them; the exit code."""
        async with AsyncExitStack() as stack:
            limits = httpx.Limits(max_connections=self._concurrency + 8)
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=CALL_SECONDS, limits=limits))
            shop, auditor = Shop.of(ready, client, self._concurrency), Auditor(ready, client)
            await shop.open(len(self._journeys))
            failures = await self._place(shop)
            finished = [journey for journey in self._journeys if journey.number not in failures]
            with self._console.status("checking order, payment, gateway, stock and mails against each other"):
                faults = await auditor.audit(finished)
                found = await self._look(auditor, shop, finished)
        if not failures:  # of an order that was left on its way nobody knows what it holds
            faults |= shop.stock.audit(found.stock, [journey.order for journey in finished])
        for number, sentence in failures.items():
            faults[self._journeys[number].order.get("orderId", f"order {number}")] = [sentence]
        self._show(found, faults)
        return 1 if faults else 0

    async def _look(self, auditor: Auditor, shop: Shop, finished: Sequence[Journey]) -> "Found":
        events = {journey.order_id: await auditor.events(journey.order_id) for journey in finished}
        found = Found(finished, events, await shop.stock.read())
        if self._is_tour:
            found.mails = [mail for journey in finished for mail in await auditor.mails(journey)]
            longest = max(finished, key=lambda journey: len(events[journey.order_id]), default=None)
            found.explained = await auditor.explain(longest.order_id) if longest else None
        return found

    async def _place(self, shop: Shop) -> dict[int, str]:
        """Walk all journeys, so many at a time; what went wrong, by journey."""
        failures: dict[int, str] = {}
        free = asyncio.Semaphore(self._concurrency)
        with self._progress() as progress:
            task = progress.add_task("placing orders", total=len(self._journeys))

            async def walk(journey: Journey) -> None:
                async with free:
                    try:
                        await run_journey(shop, journey)
                    except Unexpected as error:
                        failures[journey.number] = str(error)
                    progress.advance(task)

            async with asyncio.TaskGroup() as group:
                for journey in self._journeys:
                    group.create_task(walk(journey))
        return failures

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )

    def _show(self, found: "Found", faults: dict[str, list[str]]) -> None:
        if self._as_json:
            click.echo(json.dumps(_report(found, faults), indent=2))
            return
        self._console.print()
        if self._is_tour:
            show_orders(self._console, found.journeys, found.events)
            show_stock(self._console, found.stock)
            show_mails(self._console, found.mails)
            if found.explained:
                show_explained(self._console, found.explained)
                self._console.print()
        else:
            show_kinds(self._console, found.journeys, found.events)
        show_verdict(self._console, len(self._journeys), faults)


@dataclass
class Found:
    """What the system tells of these journeys when they are over; the events are by order."""

    journeys: Sequence[Journey]
    events: Mapping[str, Sequence[Json]]
    stock: Sequence[Json]
    mails: Sequence[Json] = ()
    explained: ExplainAnswer | None = None
    """The timeline of the order that had the most events."""


def _report(found: Found, faults: dict[str, list[str]]) -> dict[str, object]:
    return {
        "orders": [
            {
                "orderId": journey.order_id,
                "kind": journey.kind,
                "status": journey.order["status"],
                "totalAmount": journey.total,
                "amountPaid": journey.captured,
                "amountRefunded": journey.refunded,
                "events": len(found.events[journey.order_id]),
                "secondsFromEvent": delay_seconds(journey, found.events[journey.order_id]),
            }
            for journey in found.journeys
        ],
        "stock": found.stock,
        "faults": faults,
    }
