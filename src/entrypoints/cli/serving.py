"""What the long-running commands share: which service, and running until a signal asks for the end."""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec
import uvloop

from entrypoints.environment import load_settings
from entrypoints.settings import Settings

NEW_OBJECTS = 20_000  # between two looks for cycles; a batch makes about as many, which all go without


F = TypeVar("F", bound=Callable[..., None])


def service_option(function: F) -> F:
    return click.option(
        "--service", type=click.Choice(["all", "orders", "payments"]), help="Which service to run."
    )(function)


def settings_with(options: Mapping[str, Any]) -> Settings:
    """The settings of the environment, and these options in place of theirs. Raises SettingsInvalid."""
    given = {name: value for name, value in options.items() if value is not None}
    return msgspec.structs.replace(load_settings(os.environ), **given)


def spare_garbage_collection() -> None:
    """Leave what was imported out of every collection, and collect less often: a sixth of a busy worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)


def run_until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work` on a uvloop; the event it is given is set by SIGTERM or Ctrl-C."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    spare_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
