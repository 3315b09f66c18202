"""The progress of a start: a live checklist in a terminal, plain lines anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Checklist:
    """Shows steps as they happen on `console`."""

    def __init__(self, console: Console):
        self._console = console

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show a step as under way, then as done with its remark and time, or as failed."""
        began = time.monotonic()
        remark = ""

        def note(text: str) -> None:
            nonlocal remark
            remark = text

        mark = "[red]✗[/]"
        spinner = self._console.status(name) if self._console.is_terminal else None
        if spinner is not None:
            spinner.start()
        try:
            yield note
            mark = "[green]✓[/]"
        finally:
            if spinner is not None:
                spinner.stop()
            seconds = time.monotonic() - began
            self._console.print(f"{mark} {name:<17} {seconds:5.1f} s  [dim]{remark}[/]", highlight=False)

    def tell(self, sentence: str) -> None:
        self._console.print(f"[yellow]•[/] {sentence}", highlight=False)
