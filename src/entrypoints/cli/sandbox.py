"""`payonce sandbox`."""

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    # The sandbox is a program of its own, which nothing of ours imports: become it.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "sandbox", *arguments])
