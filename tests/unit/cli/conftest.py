"""Commands run within the process of the tests."""

import pytest

from tests.support.logs import restored

_restored = pytest.fixture(autouse=True)(restored)
