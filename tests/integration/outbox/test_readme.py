"""The examples in outbox/README.md run as they stand, and the program prints what the page says."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.integration.outbox.conftest import async_url

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "outbox" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


async def run(*arguments: str, cwd: Path, **environment: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_example_in_the_readme_runs(empty_database_url: str) -> None:
    promised = re.search(r"It prints `(.*)`\.", PAGE)
    assert promised is not None

    code, out, err = await run(
        "-W", "error", "-c", BLOCKS[0], cwd=ROOT, DATABASE_URL=async_url(empty_database_url)
    )

    assert code == 0, err
    assert out.strip() == promised[1]


async def test_the_suite_runs_in_somebody_elses_project(tmp_path: Path) -> None:
    """The package alone in a folder of its own, pytest-asyncio as it comes, and none of our settings."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "outbox").symlink_to(ROOT / "outbox")
    tests = tmp_path / "tests"
    tests.mkdir()
    named = re.compile(r"# (\w+\.py)\n")
    files = {match[1]: block for block in BLOCKS if (match := named.match(block))}
    for name, block in files.items():
        (tests / name).write_text(block, encoding="utf-8")
    assert files.keys() == {"conftest.py", "test_publisher.py"}

    options = ["-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    options += ["-o", "asyncio_default_fixture_loop_scope=function"]  # unset, pytest-asyncio warns of it
    code, out, err = await run(
        "-m", "pytest", *options, "tests", cwd=tmp_path, PYTHONPATH=str(tmp_path / "lib"), PYTEST_ADDOPTS=""
    )

    assert code == 0, out + err
    passed = re.search(r"(\d+) passed", out)
    assert passed is not None
    assert int(passed[1]) >= 10
    assert "skipped" not in out
