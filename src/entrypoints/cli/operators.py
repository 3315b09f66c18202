"""What the commands of operators share: they need the databases and little else."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.system.clock import SystemClock
from domain.shared.errors import Unavailable
from entrypoints.environment import load_settings
from entrypoints.local.ready import SANDBOX_KEY, Ready
from entrypoints.settings import Secret, Settings

F = TypeVar("F", bound=Callable[..., None])

_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class When(click.ParamType[datetime]):
    """A time as RFC 3339 writes it (UTC where it names no zone), or how long ago: 90s, 30m, 2h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if match := _AGO.fullmatch(value):
            return SystemClock().now() - timedelta(**{_UNITS[match[2]]: int(match[1])})
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither a time like 2026-03-01T12:00:00Z nor an age like 2h.", param, ctx
            )
        return time if time.tzinfo else time.replace(tzinfo=UTC)


def ready_file_option(function: F) -> F:
    return click.option(
        "--ready-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Look at the running system that wrote this file (`payonce up --ready-file`).",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def settings_of(ready_file: Path | None) -> Settings:
    """The settings of the environment; the databases, the broker and the sandbox those of a running system, where one is named."""
    settings = load_settings(os.environ)
    if ready_file is not None:
        ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
        url, redis_url = Secret(ready.database_url), Secret(ready.redis_url)
        names_another = settings.broker_url != settings.redis_url  # RabbitMQ, which the file does not name
        settings = msgspec.structs.replace(
            settings,
            database_url=url,
            orders_database_url=url,
            payments_database_url=url,
            redis_url=redis_url,
            broker_url=settings.broker_url if names_another else redis_url,
            data_key_file=Path(ready.data_key_file),
            signing_key_file=Path(ready.data_key_file).with_name("keys.json"),  # both are in its home
        )
        if not (settings.gateways or settings.stripe_api_key) and ready.sandbox_url:
            settings = msgspec.structs.replace(
                settings,
                stripe_api_key=Secret(SANDBOX_KEY),
                stripe_webhook_secret=Secret("unset"),
                stripe_api_base=ready.sandbox_url,
            )
    return settings


def exit_with(work: Coroutine[Any, Any, int]) -> None:
    """Do the work and exit with its code."""
    try:
        code = asyncio.run(work)
    except BrokenPipeError:
        raise  # whoever reads our output has read enough: click ends quietly
    except (DBAPIError, OSError, PoolTimeout, Unavailable) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error.__cause__ or error
        raise click.ClickException(f"The database does not answer as it should: {cause}") from error
    sys.exit(code)
