"""`payonce relay`."""

import click

from entrypoints.cli.serving import run_until_signal, service_option, settings_with
from entrypoints.logging import configure_logging
from entrypoints.worker.relay import run_relay


@click.command()
@service_option
def command(service: str | None) -> None:
    settings = settings_with({"service": service})
    configure_logging(settings.log_level, settings.log_format)
    run_until_signal(lambda stop: run_relay(settings, stop))
