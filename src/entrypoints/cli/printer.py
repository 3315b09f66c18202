"""How commands print: tables for a person, JSON for a program."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 160  # of tables that go to a file or a pipe


class Printer:
    """Tables on stdout, or with `as_json` one JSON value there."""

    def __init__(self, as_json: bool):
        self._as_json = as_json
        self._console = Console()
        if not self._console.is_terminal:
            self._console.width = PLAIN_WIDTH

    def _value(self, value: object) -> None:
        click.echo(json.dumps(camel(msgspec.to_builtins(value)), indent=2))

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def _table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table whose columns of numbers are those whose header begins with a space."""
        table = Table(title=title, title_justify="left")
        for header in headers:
            table.add_column(header.strip(), justify="right" if header.startswith(" ") else "left")
        for row in rows:
            table.add_row(*("" if cell is None else str(cell) for cell in row))
        self._console.print(table, highlight=False, markup=False)


def camel(value: Any) -> Any:
    """The same with keys in camel case, as all JSON of ours."""
    if isinstance(value, Mapping):
        return {_camel_key(key): camel(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [camel(inner) for inner in value]
    return value


def _camel_key(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
