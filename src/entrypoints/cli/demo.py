"""`payonce demo`."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from entrypoints.cli.checklist import Checklist
from entrypoints.cli.running import run_system
from entrypoints.cli.up import start_failed
from entrypoints.local.demo.checks import Auditor
from entrypoints.local.demo.client import Json, Unexpected
from entrypoints.local.demo.journeys import TOUR, WAYS, Journey, Shop, run_journey
from entrypoints.local.demo.show import (
    delay_seconds,
    show_kinds,
    show_orders,
    show_stock,
    show_timeline,
    show_verdict,
)
from entrypoints.local.ready import Ready
from entrypoints.local.supervisor import ProgramFailed
from entrypoints.local.system import System, SystemOptions
from entrypoints.settings import load_settings

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
            with self._console.status("checking order, payment, gateway and events against each other"):
                faults = await auditor.audit(finished)
                events = {journey.order_id: await auditor.events(journey.order_id) for journey in finished}
                items = await shop.stock.read()
        if not failures:  # of an order that was left on its way nobody knows what it holds
            faults |= shop.stock.audit(items, [journey.order for journey in finished])
        for number, sentence in failures.items():
            faults[self._journeys[number].order.get("orderId", f"order {number}")] = [sentence]
        self._show(finished, events, items, faults)
        return 1 if faults else 0

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

    def _show(
        self,
        finished: Sequence[Journey],
        events: dict[str, list[Json]],
        items: Sequence[Json],
        faults: dict[str, list[str]],
    ) -> None:
        if self._as_json:
            click.echo(json.dumps(_report(finished, events, items, faults), indent=2))
            return
        self._console.print()
        if self._is_tour:
            show_orders(self._console, finished, events)
            show_stock(self._console, items)
            told = max(finished, key=lambda journey: len(events[journey.order_id]), default=None)
            if told is not None:
                show_timeline(self._console, told, events[told.order_id])
        else:
            show_kinds(self._console, finished, events)
        show_verdict(self._console, len(self._journeys), faults)


def _report(
    finished: Sequence[Journey],
    events: dict[str, list[Json]],
    items: Sequence[Json],
    faults: dict[str, list[str]],
) -> dict[str, object]:
    return {
        "orders": [
            {
                "orderId": journey.order_id,
                "kind": journey.kind,
                "status": journey.order["status"],
                "totalAmount": journey.total,
                "amountPaid": journey.captured,
                "amountRefunded": journey.refunded,
                "events": len(events[journey.order_id]),
                "secondsFromEvent": delay_seconds(journey, events[journey.order_id]),
            }
            for journey in finished
        ],
        "stock": items,
        "faults": faults,
    }
