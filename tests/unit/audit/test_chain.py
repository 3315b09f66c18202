"""What the check of a chain sees, and what it calls by which number."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from domain.shared.audit import GENESIS, AuditEntry, AuditFilter, AuditRecord, canonical, chained
from domain.shared.audit_chain import ChainCheck, Head, check_chain
from domain.shared.audit_trail import AuditTrail
from tests.support.memory_audit import MemoryAudit

Records = list[AuditRecord]


def a_log(count: int, *, step: int = 1) -> Records:
    records: Records = []
    previous = GENESIS
    for number in range(1, count + 1):
        at = datetime(2026, 3, 1, 12, number * step % 60, tzinfo=UTC)
        entry = AuditEntry(
            at=at, action="stock.count", subject="ada", object_type="sku", object_id=f"OAK-{number}"
        )
        text = canonical(entry)
        previous = chained(previous, text)
        records.append(AuditRecord(number, previous, text))
    return records


async def faults(records: Sequence[AuditRecord], *known: Head) -> list[tuple[str, int, int]]:
    check = await check_chain(MemoryLog(list(records)), known)
    assert check.fault_count == len(check.faults)
    assert check.is_sound == (not check.faults)
    return [(fault.kind, fault.position, fault.until) for fault in check.faults]


class MemoryLog(MemoryAudit):
    """Positions as they are given, with their gaps."""

    async def after(self, position: int, *, limit: int) -> Sequence[AuditRecord]:
        return [record for record in self.kept if record.position > position][:limit]


def renumbered(records: Records) -> Records:
    return [replace(record, position=number) for number, record in enumerate(records, 1)]


def rehashed(records: Records) -> Records:
    """All written anew, as somebody would who may do anything in the database."""
    previous, anew = GENESIS, []
    for number, record in enumerate(records, 1):
        previous = chained(previous, record.text)
        anew.append(AuditRecord(number, previous, record.text))
    return anew


def changed(records: Records) -> Records:
    return [*records[:3], replace(records[3], text=records[3].text.replace("ada", "bob")), *records[4:]]


def hash_changed(records: Records) -> Records:
    return [*records[:3], replace(records[3], hash=bytes(32)), *records[4:]]


def swapped(records: Records) -> Records:
    """Entries 3 and 7 in each other's place."""
    order = [*records[:2], records[6], *records[3:6], records[2], *records[7:]]
    return renumbered(order)


def inserted(records: Records) -> Records:
    return renumbered([*records[:4], replace(records[0]), *records[4:]])


CASES: Sequence[tuple[Callable[[Records], Records], list[tuple[str, int, int]]]] = [
    (lambda log: log, []),
    (lambda _: [], []),
    (changed, [("BROKEN", 4, 4)]),
    (hash_changed, [("BROKEN", 4, 4), ("BROKEN", 5, 5)]),
    (lambda log: log[:4] + log[6:], [("MISSING", 5, 6)]),
    (lambda log: log[1:], [("MISSING", 1, 1)]),
    (lambda log: renumbered(log[:4] + log[5:]), [("BROKEN", 5, 5)]),
    (swapped, [("BROKEN", 3, 3), ("BROKEN", 4, 4), ("BROKEN", 7, 7), ("BROKEN", 8, 8)]),
    (inserted, [("BROKEN", 5, 5), ("BROKEN", 6, 6)]),
]


@pytest.mark.parametrize(("damage", "found"), CASES)
async def test_damage_is_found_and_named(
    damage: Callable[[Records], Records], found: list[tuple[str, int, int]]
) -> None:
    assert await faults(damage(a_log(10))) == found


async def test_a_cut_tail_and_a_log_written_anew_show_against_a_known_head() -> None:
    log = a_log(10)
    known = Head(8, log[7].hash)
    assert await faults(log, known) == []
    assert await faults(log[:6]) == []
    assert await faults(log[:6], known) == [("CUT", 7, 8)]
    assert await faults([], known) == [("CUT", 1, 8)]
    anew = rehashed(changed(log))
    assert await faults(anew) == []
    assert await faults(anew, known) == [("DIFFERS", 8, 8)]


async def test_what_is_no_entry_of_ours_is_told_though_the_chain_holds() -> None:
    log = a_log(3)
    for text in ('{"a":1}', "[]", "null", '{"at":"yesterday","scopes":[]}'):
        foreign = AuditRecord(4, chained(log[-1].hash, text), text)
        assert await faults([*log, foreign]) == [("UNREADABLE", 4, 4)]


def test_a_check_keeps_a_hundred_faults_and_counts_all() -> None:
    check = ChainCheck()
    for record in a_log(500):
        check.take(replace(record, text=record.text + " "))
    check.end()
    assert (len(check.faults), check.fault_count) == (100, 500)


async def test_a_trail_tells_both_logs_newest_first_and_goes_on_where_it_was() -> None:
    trail = AuditTrail({"orders": MemoryAudit(a_log(4, step=2)), "payments": MemoryAudit(a_log(5))})
    told = await trail.find(AuditFilter(), limit=20)
    assert [(service[0], record.position) for service, record in told] == [
        *(("o", 4), ("o", 3), ("p", 5), ("o", 2), ("p", 4), ("p", 3), ("o", 1), ("p", 2), ("p", 1))
    ]
    assert await trail.find(AuditFilter(), before={"orders": 3, "payments": 5}, limit=3) == told[3:6]
