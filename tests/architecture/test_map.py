"""The README's map is the tree."""

import re
import subprocess

from tests.architecture.source import ROOT

_LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w./-]+)/ ")


def mapped_folders() -> set[str]:
    """The folders that the map draws, as paths from the root."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = text.split("## The map", 1)[1].split("```", 2)[1]
    folders: set[str] = set()
    parents: list[str] = []
    for line in drawn.splitlines():
        if match := _LINE.match(line + " "):
            depth = len(match["indent"]) // 2
            parents = [*parents[:depth], match["name"]]
            folders.add("/".join(parents))
    return folders


def tracked_folders() -> set[str]:
    """Top-level folders, and below src/ two levels more, that hold Python or documents under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    folders: set[str] = set()
    for path in filter(None, listed):
        parts = path.split("/")[:-1]
        depth = 3 if parts[:1] == ["src"] else 1
        folders |= {"/".join(parts[:count]) for count in range(1, min(len(parts), depth) + 1)}
    return {folder for folder in folders if not folder.startswith(".")}


def test_the_map_of_the_readme_is_the_tree() -> None:
    assert mapped_folders() == tracked_folders()
