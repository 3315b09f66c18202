"""A fixed set of seeds, quickly. `make soak` goes on with new ones."""

import pytest

from entrypoints.local.postgres import EmbeddedPostgres
from tests.simulation.outbox.seeds import run_seed


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_nothing_is_lost_doubled_or_inverted(postgres_server: EmbeddedPostgres, number: int) -> None:
    run_seed(postgres_server, number, examples=7, steps=40)
