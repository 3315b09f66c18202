"""docs/crash-points.md names tests that exist, and some for each of the design's twelve points."""

import ast
import re

from tests.architecture.source import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_POINT = re.compile(r"^\| (\d+) \|(.*)$", re.MULTILINE)


def test_every_point_has_tests_that_exist() -> None:
    page = (ROOT / "docs" / "crash-points.md").read_text(encoding="utf-8")
    points = {int(number): _TEST.findall(row) for number, row in _POINT.findall(page)}

    assert sorted(points) == list(range(1, 13))
    assert all(points.values())
    for path, name in _TEST.findall(page):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{path} has no {name}"
