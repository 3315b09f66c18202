"""The group of commands: each lives in a module of its own, loaded only when it is used."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import click

from adapters.security.keys import KeysInvalid
from adapters.security.tls import CertificatesInvalid
from entrypoints.refusals import StartRefused


class WrongUsage(click.ClickException):
    """What the caller has to set right first: one sentence on stderr and exit code 2."""

    exit_code = 2


class CommandGroup(click.Group):
    """Commands by name, with one sentence each; `NAME` is `command` in `entrypoints.cli.NAME`."""

    def __init__(self, *, name: str, help: str, sentences: Mapping[str, str]):
        super().__init__(name=name, help=help, context_settings={"help_option_names": ["-h", "--help"]})
        self._sentences = sentences

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._sentences)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._sentences:
            return None
        module = importlib.import_module(f"entrypoints.cli.{cmd_name}")
        command: click.Command = module.command
        command.name = cmd_name
        command.help = "\n\n".join(
            filter(None, (self._sentences[cmd_name], inspect.cleandoc(command.help or "")))
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._sentences.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (StartRefused, KeysInvalid, CertificatesInvalid) as error:
            raise WrongUsage(str(error)) from error
