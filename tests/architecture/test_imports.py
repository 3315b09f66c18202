"""Which room may know which."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT, SRC, modules


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_domain_imports_the_standard_library_and_itself_only() -> None:
    allowed = sys.stdlib_module_names | {"domain"}
    foreign = [
        f"{path}: {name}"
        for path, tree in modules(SRC / "domain")
        for name in _imported(tree)
        if name.partition(".")[0] not in allowed
    ]
    assert foreign == []


def _imported(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


def test_imports_stand_at_the_top_of_their_module() -> None:
    hidden = [
        f"{path}:{node.lineno}"
        for path, tree in modules(SRC, ROOT / "outbox", ROOT / "sandbox")
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []
