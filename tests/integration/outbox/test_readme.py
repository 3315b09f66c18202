"""The example in outbox/README.md runs as it stands, and prints what the page says."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.integration.outbox.conftest import async_url

ROOT = Path(__file__).parents[3]


async def test_the_example_in_the_readme_runs(empty_database_url: str) -> None:
    page = (ROOT / "outbox" / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    promised = re.search(r"It prints `(.*)`\.", page)
    assert promised is not None

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        program,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": async_url(empty_database_url)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    assert out.decode().strip() == promised[1]
