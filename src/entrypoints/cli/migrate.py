"""`payonce migrate`."""

import asyncio
import os
from pathlib import Path

import click
from alembic import command as alembic
from alembic.config import Config

from adapters.postgres.engine import DatabaseUnavailable, lost_connection, make_engine
from entrypoints.environment import load_settings
from entrypoints.logging import configure_logging
from entrypoints.operating.protection import ProtectionCheck
from entrypoints.settings import Settings

ROOT = Path(__file__).parents[3]


@click.command()
@click.option("--revision", default="head", show_default=True, help="The schema's revision to go to.")
def command(revision: str) -> None:
    settings = load_settings(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    databases = settings.require_databases()
    for owner, _ in databases:
        alembic.upgrade(Config(ROOT / "alembic.ini", attributes={"url": owner.reveal()}), revision)
    for _, application in databases:
        try:
            asyncio.run(_check(settings, application.reveal()))
        except DatabaseUnavailable as error:
            raise click.ClickException(
                f"The schema is made, but the application cannot log in: {error.__cause__}"
            ) from error


async def _check(settings: Settings, url: str) -> None:
    """Warn where the application could change what is append-only. Raises DatabaseUnavailable."""
    engine = make_engine(
        url, pool_size=1, application="payonce-migrate", pooled=settings.database_pooler == "transaction"
    )
    try:
        await ProtectionCheck([engine])()
    except Exception as error:
        if lost_connection(error):
            raise DatabaseUnavailable from error
        raise
    finally:
        await engine.dispose()
