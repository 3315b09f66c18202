"""Only the unit of work commits, and only those who open one ask it to."""

import ast

from tests.architecture.source import SRC, dotted, modules

COMMITS = {
    "src/adapters/postgres/unit_of_work.py",  # the one place
    "src/adapters/postgres/migrations/env.py",  # a migration is its own transaction
}
BEGINS = {
    "src/entrypoints/worker/relay.py",  # partitions are made in a transaction of their own
    "src/adapters/postgres/rotation.py",  # each batch is one, and no use case has a part in it
    "src/adapters/postgres/idempotency.py",  # each of the store's methods is a transaction by its contract
}


def test_only_the_unit_of_work_commits() -> None:
    others = [
        f"{path}:{call.lineno} {dotted(call.func)}"
        for path, call in _calls({"commit"})
        if path not in COMMITS and not (path.startswith("src/domain/") and dotted(call.func) == "uow.commit")
    ]
    assert others == []


def test_nobody_else_opens_a_transaction_that_commits_by_itself() -> None:
    others = [
        f"{path}:{call.lineno} {dotted(call.func)}"
        for path, call in _calls({"begin", "begin_nested"})
        if path not in BEGINS and "engine" in dotted(call.func)
    ]
    assert others == []


def test_no_gateway_or_service_is_called_inside_a_unit_of_work() -> None:
    """Rule 1 of the design: a transaction must never wait for somebody outside."""
    outside = (
        "self.gateway.",
        "self.payments.pay",
        "self.payments.confirm",
        "self.check_order",
        "self._fetch",
    )
    found = [
        f"{path}:{call.lineno} {dotted(call.func)}"
        for path, tree in modules(SRC / "domain")
        for block in ast.walk(tree)
        if isinstance(block, ast.AsyncWith) and any("unit_of_work" in ast.dump(item) for item in block.items)
        for awaited in ast.walk(block)
        if isinstance(awaited, ast.Await) and isinstance(call := awaited.value, ast.Call)
        if dotted(call.func).startswith(outside)
    ]
    assert found == []


def _calls(names: set[str]) -> list[tuple[str, ast.Call]]:
    return [
        (path, node)
        for path, tree in modules(SRC)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
    ]
