"""Marked values that must never be written down: a journey sends them, then everything written is searched."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote


@dataclass
class Marks:
    """What is searched for, by name. A value is found in the encodings that programs would write it in too."""

    values: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: str) -> str:
        assert len(value) >= 8, f"{name} is too short to be told from other things"
        self.values[name] = value
        return value

    def found_in(self, source: str, text: str) -> Iterator[str]:
        """Every mark in this text, with the line that has it."""
        for name, value in self.values.items():
            for form in _forms(value):
                if form in text:
                    line = next(line for line in text.splitlines() if form in line)
                    yield f"{name} in {source}: {line[:2000]}"
                    break


def _forms(value: str) -> set[str]:
    return {value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")}


def logs_of(home: Path) -> Iterator[tuple[str, str]]:
    """Everything that the processes of a system have logged, by name."""
    for path in sorted((home / "logs").iterdir()):
        yield path.name, path.read_text(encoding="utf-8", errors="replace")
