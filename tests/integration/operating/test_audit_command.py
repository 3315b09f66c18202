"""`payonce audit` and `/v1/audit` on a real database, in which its owner has tampered."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from adapters.cloudevents import payment_events
from adapters.postgres.audit import PostgresAuditReader
from adapters.postgres.engine import make_engine
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.security.audit_heads import AUDIT_HEAD, SignedHead
from adapters.security.keys import create_keys
from adapters.security.snapshots import ORDER_TERMS, SnapshotSigner
from entrypoints.cli import main
from entrypoints.operating.audit import AnchorHeads
from outbox import Outbox
from tests.contract.repositories.test_audit_contract import an_entry
from tests.support.house import START

Run = Callable[..., Awaitable[Result]]
TAKE_OFF = "ALTER TABLE payments.audit DISABLE TRIGGER ALL"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return create_keys(tmp_path / "keys.json").path


@pytest.fixture
def run(database_url: str, keys: Path) -> Run:
    async def run(*arguments: str) -> Result:
        environment = {"PAYONCE_DATABASE_URL": database_url, "PAYONCE_SIGNING_KEY_FILE": str(keys)}
        # In a thread, for the command has an event loop of its own.
        return await asyncio.to_thread(
            CliRunner().invoke, main, ["audit", *arguments], env=environment, prog_name="payonce"
        )

    return run


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[PostgresAuditReader]:
    """The log of payments, with ten entries."""
    engine = make_engine(database_url, pool_size=2, application="test")
    encode = partial(payment_events.encode, traceparent=lambda: None)
    async with PostgresPaymentsUnitOfWork(engine, Outbox("payments"), encode, lambda: None) as uow:
        for number in range(1, 11):
            subject = "bob" if number % 2 else "ada"
            await uow.audit.append(an_entry(f"ref_{number}", subject=subject))
        await uow.commit()
    yield PostgresAuditReader(engine, "payments")
    await engine.dispose()


async def tamper(database_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("; ".join([TAKE_OFF, *statements]))
    finally:
        await connection.close()


async def verified(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = await run("verify", *arguments, "--json")
    logs = json.loads(result.stdout)["logs"]
    return result.exit_code, {one["service"]: one for one in logs}


async def test_a_sound_log_and_one_that_was_tampered_with(
    run: Run, log: PostgresAuditReader, database_url: str
) -> None:
    code, logs = await verified(run)
    head = await log.head()
    assert code == 0
    assert head is not None
    assert logs["payments"]["head"] == f"10:{head.hash.hex()}"
    assert logs["orders"] == logs["payments"] | {"service": "orders", "entries": 0, "head": None}
    assert "10 entries, an unbroken chain" in (await run("verify", "--service", "payments")).output

    await tamper(
        database_url,
        "UPDATE payments.audit SET entry = replace(entry::text, 'ada', 'eve')::json WHERE position = 2",
        "DELETE FROM payments.audit WHERE position IN (5, 6)",
    )
    code, logs = await verified(run)
    assert code == 1
    assert [(fault["kind"], fault["position"], fault["until"]) for fault in logs["payments"]["faults"]] == [
        ("BROKEN", 2, 2),
        ("MISSING", 5, 6),
    ]
    said = (await run("verify")).output
    assert "payments: entry 2 is broken" in said
    assert "payments: entries 5 to 6 are missing" in said


async def test_a_cut_tail_shows_against_a_head_that_was_kept(
    run: Run, log: PostgresAuditReader, database_url: str, keys: Path
) -> None:
    head = await log.head()
    assert head is not None
    signer = SnapshotSigner(create_keys(keys), AUDIT_HEAD)
    tell = AnchorHeads({"payments": log}, signer, lambda: START)
    with capture_logs() as told:
        await tell()
        await tell()  # nothing new
    (line,) = told
    expected = ("--service", "payments", "--expect", f"10:{head.hash.hex()}")
    anchored = ("--anchor", line["audit_anchor"])
    assert (await verified(run, *expected))[0] == 0
    assert (await verified(run, *anchored))[0] == 0

    await tamper(database_url, "DELETE FROM payments.audit WHERE position > 7")
    assert (await verified(run))[0] == 0, "nothing within the log tells"
    for known in (expected, anchored):
        code, logs = await verified(run, *known)
        assert code == 1
        assert [
            (fault["kind"], fault["position"], fault["until"]) for fault in logs["payments"]["faults"]
        ] == [("CUT", 8, 10)]


async def test_what_no_key_of_ours_has_signed_is_no_anchor(run: Run, keys: Path, tmp_path: Path) -> None:
    head = SignedHead("payments", 1, "00" * 32, START)
    strangers = create_keys(tmp_path / "other.json")
    for anchor in (
        "nonsense",
        SnapshotSigner(strangers, AUDIT_HEAD)(head),
        SnapshotSigner(create_keys(keys), ORDER_TERMS)(head),
        SnapshotSigner(create_keys(keys), AUDIT_HEAD)(head)[:-4] + "AAAA",
    ):
        result = await run("verify", "--anchor", anchor)
        assert result.exit_code == 2
        assert "--anchor is no head" in result.output
    assert (await run("verify", "--expect", f"1:{'0' * 64}")).exit_code == 2
    assert (await run("verify", "--service", "orders", "--expect", "1:abc")).exit_code == 2


async def test_entries_are_listed_newest_first(run: Run, log: PostgresAuditReader) -> None:
    async def listed(*arguments: str) -> list[int]:
        result = await run("list", *arguments, "--json")
        assert result.exit_code == 0, result.output
        return [entry["position"] for entry in json.loads(result.stdout)["entries"]]

    assert await listed("--limit", "3") == [10, 9, 8]
    assert await listed("--subject", "ada", "--limit", "2") == [10, 8]
    assert await listed("--object", "ref_4") == [4]
    assert await listed("--since", START.isoformat()) == list(range(10, 0, -1))
    assert await listed("--until", START.isoformat()) == []
    said = (await run("list", "--object", "ref_4")).output
    assert "refund.approve" in said
