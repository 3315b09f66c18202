"""The ledger as files: one row for each posting, a page of entries in memory at a time."""

import csv
import importlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from domain.payments.ledger import LedgerEntry

PAGE_ROWS = 5_000
NAMES = (
    "entry_id",
    "posted_at",
    "kind",
    "source",
    "account",
    "gateway",
    "currency",
    "amount",
    "payment_id",
    "order_id",
    "gateway_object",
)

Row = tuple[Any, ...]


class ExtraMissing(Exception):
    """A format needs a package that is not installed; the message says how to get it."""


class Sheet(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...
    def close(self) -> None: ...


async def export_to(output: Path | None, format_: str, entries: AsyncIterator[LedgerEntry]) -> int:
    """How many rows were written. The file is there once it is complete. Raises ExtraMissing."""
    written, rows = 0, list[Row]()
    with _file(output) as path, closing(FORMATS[format_](path)) as sheet:
        async for entry in entries:
            rows += _rows(entry)
            if len(rows) >= PAGE_ROWS:
                sheet.write(rows)
                written, rows = written + len(rows), []
        sheet.write(rows)
    return written + len(rows)


def _rows(entry: LedgerEntry) -> Iterator[Row]:
    for posting in entry.postings:
        yield (
            str(entry.entry_id),
            entry.posted_at,
            entry.kind.value,
            entry.source,
            posting.account.value,
            entry.gateway,
            posting.currency,
            posting.amount,
            entry.payment_id,
            entry.order_id,
            entry.gateway_object,
        )


@contextmanager
def _file(output: Path | None) -> Iterator[Path | None]:
    """Beside the file until all is written: half an export must not be taken for a whole one."""
    if output is None:
        yield None
        return
    partial = output.with_name(f"{output.name}.part")
    try:
        yield partial
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)


class _Csv:
    """Times as RFC 3339, nothing where there is none."""

    def __init__(self, path: Path | None) -> None:
        self._stream = sys.stdout if path is None else path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(NAMES)

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows((row[0], row[1].isoformat(), *row[2:]) for row in rows)

    def close(self) -> None:
        if self._stream is not sys.stdout:
            self._stream.close()


class _Arrow:
    """A table with real times and integers, written batch by batch."""

    def __init__(self, path: Path | None, module: str, writer: str) -> None:
        """The writer of that name, in that module of pyarrow: an extra, loaded where it is used."""
        assert path is not None, "the command asks for a file"
        try:
            pyarrow, written_by = importlib.import_module("pyarrow"), importlib.import_module(module)
        except ImportError as error:
            raise ExtraMissing("This format needs pyarrow: install payonce[arrow], or export CSV.") from error
        text = pyarrow.string()
        others = {"posted_at": pyarrow.timestamp("us", tz="UTC"), "amount": pyarrow.int64()}
        self._schema = pyarrow.schema([(name, others.get(name, text)) for name in NAMES])
        self._pyarrow = pyarrow
        self._writer = getattr(written_by, writer)(str(path), self._schema)

    def write(self, rows: Sequence[Row]) -> None:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._writer.write_batch(self._pyarrow.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


FORMATS: Mapping[str, Callable[[Path | None], Sheet]] = {
    "csv": _Csv,
    "parquet": lambda path: _Arrow(path, "pyarrow.parquet", "ParquetWriter"),
    "arrow": lambda path: _Arrow(path, "pyarrow.ipc", "new_file"),
}
