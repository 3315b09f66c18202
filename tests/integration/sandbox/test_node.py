"""The official Node SDK completes a payment, too."""

import json
from pathlib import Path

from tests.support.node import run_node
from tests.support.sandbox import SandboxGateway

_FOLDER = Path(__file__).parents[2] / "node"


def test_the_node_sdk(sandbox: SandboxGateway) -> None:
    said = json.loads(run_node(_FOLDER, "check.mjs", sandbox.url))

    assert said == {"listed": 4, "refunded": 99, "captured": 1000}
    assert len(sandbox.state()["paymentIntents"]) == 4
