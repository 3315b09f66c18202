"""A shop of the test's own: both services on real PostgreSQL, the sandbox as their gateway."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop


@pytest.fixture
async def shop(
    sandbox: SandboxGateway, database_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    async with open_shop(sandbox, database_url, valkey_url, tmp_path) as shop:
        yield shop
