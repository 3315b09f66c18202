"""The suite runs on the gateway of another package, and finds what is wrong with it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

BENCH = '''
from contextlib import asynccontextmanager

from tests.contract.gateway.conftest import FakeBench


class Forgetful(FakeBench):
    """Its gateway takes a repetition for another request."""

    def __init__(self):
        super().__init__()
        performed = self.fake._perform_once

        def perform(request, key, outcome):
            self.fake.performed.pop(key, None)
            return performed(request, key, outcome)

        self.fake._perform_once = perform


@asynccontextmanager
async def forgetful():
    yield Forgetful()
'''


def test_the_suite_judges_another_package_s_gateway(tmp_path: Path) -> None:
    (tmp_path / "acme_bench.py").write_text(BENCH)
    plugins = [part for name in ("pytest_asyncio.plugin", "pytest_timeout") for part in ("-p", name)]
    suite = "tests/contract/gateway/test_gateway_contract.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugins, "-q", suite],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "PAYONCE_TEST_GATEWAY": "acme_bench:forgetful",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # all that are installed take longer than the suite
        },
        capture_output=True,
        text=True,
        check=False,
    )
    failed = re.findall(r"^FAILED .*::(\w+)\[plugin\]", done.stdout, re.MULTILINE)
    assert "test_a_repeated_decline_is_the_same_decline" in failed, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > len(failed)
    assert "[stripe]" not in done.stdout
