"""`payonce migrate`."""

import os
from pathlib import Path

import click
from alembic import command as alembic
from alembic.config import Config

from entrypoints.environment import load_settings
from entrypoints.logging import configure_logging

ROOT = Path(__file__).parents[3]


@click.command()
@click.option("--revision", default="head", show_default=True, help="The schema's revision to go to.")
def command(revision: str) -> None:
    settings = load_settings(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    for url in settings.require_databases():
        alembic.upgrade(Config(ROOT / "alembic.ini", attributes={"url": url.reveal()}), revision)
