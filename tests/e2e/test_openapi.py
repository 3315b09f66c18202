"""The API against its own description: no server error, no answer that is not documented."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.security.keys import KeyFile
from adapters.system.clock import SystemClock
from entrypoints.cli.token import SCOPES
from entrypoints.local.ready import token_issuer
from tests.e2e.conftest import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def token_for_everything(system: RunningSystem) -> str:
    """Behind every guard, where there is more that could go wrong."""
    issuer = token_issuer(KeyFile(system.home / "keys.json"), "payonce", "payonce")
    return issuer.issue("schemathesis", SCOPES, SystemClock().now() + timedelta(hours=1))


def test_schemathesis_finds_nothing(system: RunningSystem, tmp_path: Path) -> None:
    result = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            *("run", f"{system.ready['apiUrl']}/schema/openapi.json"),
            *("--header", f"Authorization: Bearer {token_for_everything(system)}"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--seed", "1"),
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
