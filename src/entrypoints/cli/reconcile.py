"""`payonce reconcile`."""

import getpass
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.system.clock import SystemClock
from entrypoints.bootstrap import build_container
from entrypoints.cli.group import WrongUsage
from entrypoints.cli.operators import When, exit_with, json_option, ready_file_option, settings_of
from entrypoints.cli.reconcile_show import Show
from entrypoints.local.ready import SANDBOX_KEY, Ready
from entrypoints.operating.reconciling import Reconciler
from entrypoints.settings import Secret, Settings

Told = Callable[[int], None]


@click.command()
@ready_file_option
@click.option("--since", type=When(), help="Made since then: a time (UTC), or an age as 7d; default: 30d.")
@click.option("--until", type=When(), help="Made before then; default: now.")
@click.option("--apply", is_flag=True, help="Keep what differs, and repair what the policy says.")
@json_option
def command(
    ready_file: Path | None, since: datetime | None, until: datetime | None, apply: bool, as_json: bool
) -> None:
    """Compares orders, payments and gateway: everything that was made in a range of time, in both directions.
    What looks different is looked at again after the time that a webhook may take.

    Nothing is written without --apply. It runs beside the continuous comparison; only one repairs at a time.
    Ends with exit code 1 where something is open, 0 where nothing is.
    """
    settings = _settings(ready_file)
    now = SystemClock().now()
    since, until = since or now - timedelta(days=30), until or now
    if since >= until:
        raise WrongUsage("--since is not before --until.")

    async def work() -> int:
        container = build_container(settings)
        try:
            with _progress(as_json) as (told_total, told):
                report = await Reconciler(container, _operator())(
                    since=since, until=until, apply=apply, told_total=told_total, told=told
                )
        finally:
            await container.stop()
        Show(as_json).report(report)
        return 1 if report.open else 0

    exit_with(work())


def _settings(ready_file: Path | None) -> Settings:
    """Of a running system also its gateway, the sandbox, unless the environment names another."""
    settings = settings_of(ready_file)
    if ready_file is None or settings.stripe_api_key or settings.gateways:
        return settings
    ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
    return msgspec.structs.replace(
        settings,
        stripe_api_base=ready.sandbox_url,
        stripe_api_key=Secret(SANDBOX_KEY),
        stripe_webhook_secret=Secret("unset"),
    )


def _operator() -> str:
    return f"cli:{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def _progress(as_json: bool) -> Iterator[tuple[Told, Told]]:
    """A bar on stderr, where that is a terminal: it hears how many payments there are, and of each one compared."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=as_json or not sys.stderr.isatty(),
        transient=True,
    ) as progress:
        task = progress.add_task("comparing payments", total=None)
        yield (
            lambda total: progress.update(task, total=total),
            lambda compared: progress.advance(task, compared),
        )
