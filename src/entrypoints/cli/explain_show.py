"""How a timeline is shown to a person: `payonce explain`, and the demo."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from entrypoints.http.schemas.timeline import ExplainAnswer, TimelineEntryAnswer

WIDTH = 100
_ABOVE = ("name", "type", "before", "after", "attention", "attentions", "appliedAt")
"""Details that the line above them says already."""
_INDENT = " " * 26


def show_explained(console: Console, explained: ExplainAnswer) -> None:
    """The order's timeline, as the API answers it."""
    lines = _Lines(console)
    flagged = f", a person must look at it: {', '.join(explained.attentions)}" if explained.attentions else ""
    lines.line("", f"{explained.order_id} is {explained.status}{flagged}.", "bold")
    seen: set[str] = {explained.order_id}
    day = None
    for entry in explained.entries:
        if entry.at.date() != day:
            day = entry.at.date()
            lines.line("", f"{day:%Y-%m-%d} (UTC)", "bold")
        lines.entry(entry, seen)


class _Lines:
    def __init__(self, console: Console):
        self._console = console
        self._width = min(console.width, WIDTH)

    def entry(self, entry: TimelineEntryAnswer, seen: set[str]) -> None:
        first = f"{entry.at:%H:%M:%S}.{entry.at.microsecond // 1000:03} {entry.kind:<10}   "
        self.line(first, entry.title)
        if entry.reason:
            self.line(_INDENT, entry.reason, "italic")
        facts = "  ".join(_facts(entry, seen))
        if facts:
            self.line(_INDENT, facts, "dim")

    def line(self, margin: str, text: str, style: str = "") -> None:
        """Wrapped at words, and under itself."""
        wrapped = Text(text, style).wrap(self._console, self._width - len(margin))
        for number, line in enumerate(wrapped):
            line.rstrip()
            start = margin if number == 0 else " " * len(margin)
            self._console.print(Text(start) + line, highlight=False, soft_wrap=True)


def _facts(entry: TimelineEntryAnswer, seen: set[str]) -> Iterator[str]:
    """Ids where they come up first, and details."""
    for name, named in entry.ids.items():
        if named not in seen:
            seen.add(named)
            yield f"{name}={named}"
    for name, value in entry.details.items():
        if name not in _ABOVE:
            text = str(value)  # of a time the day is above, as a rule
            yield f"{name}={text[11:23] if name.endswith('At') and len(text) >= 20 else text}"
