"""How `payonce explain` prints."""

from collections.abc import Iterator

import click
import msgspec
from rich.text import Text

from domain.orders.use_cases.explain_order import Explained
from domain.shared.timeline import TimelineEntry
from entrypoints.cli.printer import Printer
from entrypoints.http.explain import explain_answer

WIDTH = 100
_ABOVE = ("name", "type", "before", "after", "attention", "appliedAt")
"""Details that the line above them says already."""
_INDENT = " " * 26


class Show(Printer):
    """A timeline on stdout, or with `as_json` what the API answers."""

    def explained(self, explained: Explained) -> None:
        if self._as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(explain_answer(explained)), indent=2))
            return
        order = explained.order
        self._console.width = min(self._console.width, WIDTH)
        attention = f", a person must look at it: {order.attention}" if order.attention else ""
        self._line("", f"{order.order_id} is {order.status}{attention}.", "bold")
        seen: set[str] = {order.order_id}
        day = None
        for entry in explained.timeline:
            if entry.at.date() != day:
                day = entry.at.date()
                self._line("", f"{day:%Y-%m-%d} (UTC)", "bold")
            self._entry(entry, seen)

    def _entry(self, entry: TimelineEntry, seen: set[str]) -> None:
        first = f"{entry.at:%H:%M:%S}.{entry.at.microsecond // 1000:03} {entry.kind:<10}   "
        self._line(first, entry.title)
        if entry.reason:
            self._line(_INDENT, entry.reason, "italic")
        facts = "  ".join(_facts(entry, seen))
        if facts:
            self._line(_INDENT, facts, "dim")

    def _line(self, margin: str, text: str, style: str = "") -> None:
        """Wrapped at words, and under itself."""
        wrapped = Text(text, style).wrap(self._console, self._console.width - len(margin))
        for number, line in enumerate(wrapped):
            start = margin if number == 0 else " " * len(margin)
            self._console.print(Text(start) + line, highlight=False, soft_wrap=True)


def _facts(entry: TimelineEntry, seen: set[str]) -> Iterator[str]:
    """Ids where they come up first, and details."""
    for name, named in entry.ids.items():
        if named not in seen:
            seen.add(named)
            yield f"{name}={named}"
    for name, value in entry.details.items():
        if name not in _ABOVE:
            text = str(value)  # of a time the day is above, as a rule
            yield f"{name}={text[11:23] if name.endswith('At') and len(text) >= 20 else text}"
