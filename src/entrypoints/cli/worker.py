"""`payonce worker`."""

import os

import click

from entrypoints.cli.serving import run_until_signal
from entrypoints.environment import load_settings
from entrypoints.logging import configure_logging
from entrypoints.worker.worker import run_worker


@click.command()
def command() -> None:
    settings = load_settings(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    run_until_signal(lambda stop: run_worker(settings, stop))
