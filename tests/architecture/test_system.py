"""Time, ids and randomness come through ports, so that a test can set them and a seed replay them."""

import ast

from tests.architecture.source import ROOT, SRC, dotted, modules

RAW = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"),
    *("uuid.uuid1", "uuid.uuid4", "uuid.uuid7", "uuid1", "uuid4", "uuid7", "os.urandom"),
}
RAW_MODULES = {"random", "secrets"}
OUTSIDE = (
    "src/adapters/system/",  # where they belong
    "src/entrypoints/local/",  # a developer's machine, not the application
    "src/entrypoints/cli/",  # commands for people
)


def test_only_the_system_adapter_touches_clock_ids_and_randomness() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules(SRC, ROOT / "outbox")
        if not path.startswith(OUTSIDE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call | ast.Import | ast.ImportFrom) and _is_raw(node)
    ]
    assert found == []


def _is_raw(node: ast.Call | ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.Call):
        return any(dotted(node.func) == name or dotted(node.func).endswith(f".{name}") for name in RAW)
    if isinstance(node, ast.Import):
        return any(alias.name in RAW_MODULES for alias in node.names)
    return node.module in RAW_MODULES
