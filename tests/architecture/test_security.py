"""docs/security.md names tests that exist, for each entry of OWASP's list and each attack, and settings that exist."""

import ast
import re

import pytest

from entrypoints.settings import PREFIX, Settings
from tests.architecture.source import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_ENTRY = re.compile(r"^\| API(\d+) [^|]+\|([^|]+)\|([^|]+)\|", re.MULTILINE)


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]


def test_every_entry_of_owasps_list_has_a_control_and_tests() -> None:
    entries = _ENTRY.findall(section("OWASP API Security Top 10 (2023)"))
    assert [int(number) for number, _, _ in entries] == list(range(1, 11))
    for number, control, tests in entries:
        assert control.strip(), number
        assert _TEST.findall(tests), number


@pytest.mark.parametrize("title", ["What is worth protecting, and from whom", "Tokens"])
def test_every_attack_has_a_test(title: str) -> None:
    attacks = rows(section(title))
    assert len(attacks) > 12
    for attack in attacks:
        assert _TEST.search(attack) or "(crash-points.md)" in attack or "the table there" in attack, attack


def test_every_test_that_is_named_exists() -> None:
    named = set(_TEST.findall(PAGE))
    assert len(named) > 40
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{path} has no {name}"


def test_every_attack_on_tokens_is_in_the_table() -> None:
    tree = ast.parse((ROOT / "tests/unit/security/test_tokens.py").read_text(encoding="utf-8"))
    names = {getattr(node, "name", "") for node in tree.body}
    attacks = {name for name in names if name.startswith("test_attack_")}
    assert attacks <= {name for _, name in _TEST.findall(section("Tokens"))}


def test_every_setting_that_is_named_exists() -> None:
    for name in re.findall(rf"\b{PREFIX}(\w+)", PAGE):
        assert name.lower() in Settings.__struct_fields__, name
