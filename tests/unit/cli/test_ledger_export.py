"""All formats of `payonce ledger export` hold the same rows, and no file is ever half of one."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.payments.ledger import LedgerEntry
from entrypoints.cli.ledger_export import NAMES, PAGE_ROWS, ExtraMissing, export_to
from tests.unit.payments.test_ledger import an_entry

ENTRIES = PAGE_ROWS // 4 + 10


MADE = [an_entry(source=f"evt_{number}", order_id=None) for number in range(ENTRIES)]


async def entries(count: int = ENTRIES) -> AsyncIterator[LedgerEntry]:
    for entry in MADE[:count]:
        yield entry


async def failing() -> AsyncIterator[LedgerEntry]:
    yield an_entry()
    raise ConnectionError("the database is away")


async def test_each_posting_is_a_row(tmp_path: Path) -> None:
    assert await export_to(tmp_path / "all.csv", "csv", entries()) == 4 * ENTRIES
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0].split(",") == list(NAMES)
    assert len(lines) == 1 + 4 * ENTRIES
    first = dict(zip(NAMES, lines[1].split(","), strict=True))
    assert (first["account"], first["currency"], first["amount"]) == ("customer_receivable", "JPY", "1000")
    assert (first["posted_at"], first["order_id"]) == ("2026-03-01T12:00:00+00:00", "")


async def test_parquet_and_arrow_hold_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `arrow` is not installed")
    ipc = pytest.importorskip("pyarrow.ipc")
    for name in ("parquet", "arrow"):
        assert await export_to(tmp_path / f"all.{name}", name, entries()) == 4 * ENTRIES
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.to_pydict() == ipc.open_file(tmp_path / "all.arrow").read_all().to_pydict()
    assert table.column_names == list(NAMES)
    assert table.num_rows == 4 * ENTRIES
    assert sum(table["amount"].to_pylist()) == 0
    assert table["posted_at"][0].as_py().isoformat() == "2026-03-01T12:00:00+00:00"


async def test_half_an_export_is_none(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("the one of yesterday")
    with pytest.raises(ConnectionError):
        await export_to(tmp_path / "all.csv", "csv", failing())
    assert os.listdir(tmp_path) == ["all.csv"]
    assert (tmp_path / "all.csv").read_text() == "the one of yesterday"


async def test_a_format_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissing, match=r"payonce\[arrow\]"):
        await export_to(tmp_path / "all.parquet", "parquet", entries(1))
