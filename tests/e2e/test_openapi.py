"""The API against its own description: no server error, no answer that is not documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.mark.parametrize("token", ["refunder", "operator"])
def test_schemathesis_finds_nothing(system: RunningSystem, tmp_path: Path, token: str) -> None:
    ready = system.ready
    result = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            *("run", f"{ready['apiUrl']}/schema/openapi.json"),
            *("--header", f"Authorization: Bearer {ready['tokens'][token]}"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1"),
            # A stream ends when its token does: each would be waited for. tests/integration/orders reads them.
            *("--exclude-path-regex", "/stream$"),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\b[1-9]\d+ generated, [1-9]\d+ passed", result.stdout)
