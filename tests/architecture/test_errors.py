"""docs/errors.md names every exception class, and answers as the code does."""

import ast
import importlib
import re

from domain.shared.errors import DomainError
from entrypoints.http.problems import problem_of_domain
from tests.architecture.source import ROOT, SRC, dotted, modules

_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<answer>[^|]+?) \|(?: `(?P<code>\w+)` \|)?$", re.MULTILINE)


def documented() -> dict[str, tuple[str, str | None]]:
    """For each class its second column, and the code where there is one."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return {row["name"]: (row["answer"], row["code"]) for row in _ROW.finditer(text)}


def defined() -> dict[str, str]:
    """Every exception class of ours: its name, and its module's path."""
    classes: dict[str, tuple[str, list[str]]] = {}
    for path, tree in modules(SRC, ROOT / "outbox"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = (path, [dotted(base).rpartition(".")[2] for base in node.bases])
    errors = {"Exception", "ValueError", "RuntimeError", "LookupError"}
    found: dict[str, str] = {}
    grew = True
    while grew:
        new = {
            name: path for name, (path, bases) in classes.items() if errors & set(bases) and name not in found
        }
        errors |= set(new)
        found |= new
        grew = bool(new)
    return found


def test_every_error_is_in_the_table() -> None:
    assert documented().keys() == defined().keys()


def test_answers_are_those_of_the_code() -> None:
    told = documented()
    for name, path in defined().items():
        if not path.startswith(("src/domain/", "src/adapters/")):
            continue
        module = importlib.import_module(path.removeprefix("src/").removesuffix(".py").replace("/", "."))
        kind = getattr(module, name)
        if issubclass(kind, DomainError) and kind is not DomainError:
            problem = problem_of_domain(kind())
            assert told[name] == (str(problem.status), problem.code)
