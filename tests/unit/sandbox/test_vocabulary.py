"""Every event type that the sandbox emits is one of Stripe's."""

import ast
from collections.abc import Iterator
from pathlib import Path

import sandbox
from sandbox.params import check_params

_SOURCES = sorted(Path(sandbox.__path__[0]).glob("*.py"))


def emitted() -> Iterator[str]:
    for source in _SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "emit"
            ):
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


def test_event_types() -> None:
    found = sorted(set(emitted()))
    assert len(found) > 20
    numbered = {str(number): type for number, type in enumerate(found)}
    # It raises for a type that Stripe does not know.
    check_params("WebhookEndpointCreateParams", {"url": "https://x.example", "enabled_events": numbered})
