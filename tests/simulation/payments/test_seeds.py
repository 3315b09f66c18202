"""A few fixed seeds, quickly. `make simulate` goes on with new ones."""

from pathlib import Path

import pytest

from entrypoints.local.postgres import EmbeddedPostgres
from tests.simulation.payments.machine import PaymentMachine
from tests.simulation.payments.sandbox_machine import SandboxMachine
from tests.simulation.payments.seeds import run_seed
from tests.support.sandbox import SandboxProcess


@pytest.mark.parametrize("number", [1, 2])
def test_the_books_are_right_whatever_happens(number: int) -> None:
    run_seed(PaymentMachine, number, examples=12, steps=40)


def test_both_books_are_the_same_after_chaos(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    sandbox_process: SandboxProcess,
    valkey_url: str,
    tmp_path: Path,
) -> None:
    SandboxMachine.postgres, SandboxMachine.template = postgres_server, migrated_template
    SandboxMachine.sandbox_url, SandboxMachine.valkey_url = sandbox_process.url, valkey_url
    SandboxMachine.home = tmp_path
    run_seed(SandboxMachine, 3, examples=4, steps=15)
