"""How `payonce audit` prints."""

import json
from collections.abc import Collection, Mapping, Sequence

from domain.shared.audit_chain import ChainCheck, ChainFault, FaultKind
from domain.shared.audit_trail import Told
from domain.shared.timeline import Detail
from entrypoints.cli.printer import Printer

_IN_WORDS = {
    FaultKind.MISSING: "missing: there is no such entry, and others come behind it",
    FaultKind.BROKEN: "broken: it does not follow from the entry before; one of the two was changed, or what "
    "stood between them removed, inserted or reordered",
    FaultKind.UNREADABLE: "unreadable: the chain holds, but this is no entry of ours",
    FaultKind.CUT: "cut off: an entry that is known to have been there is gone from the end",
    FaultKind.DIFFERS: "differs from the known head: it or an entry before it was changed, and the chain written anew",
}


class Show(Printer):
    """Tables on stdout, or with `as_json` one JSON value there."""

    def checks(self, checks: Mapping[str, ChainCheck], *, compared: Collection[str]) -> None:
        """`compared` are the services whose log was held against a head that was known."""
        if self._as_json:
            self._value(
                {
                    "is_sound": all(check.is_sound for check in checks.values()),
                    "logs": [
                        {
                            "service": service,
                            "entries": check.head.position,
                            "head": str(check.head) if check.head.position else None,
                            "is_sound": check.is_sound,
                            "is_end_known": service in compared,
                            "fault_count": check.fault_count,
                            "faults": check.faults,
                        }
                        for service, check in checks.items()
                    ],
                }
            )
            return
        for service, check in checks.items():
            self._check(service, check, end_known=service in compared)

    def _check(self, service: str, check: ChainCheck, *, end_known: bool) -> None:
        for fault in check.faults:
            self._print(f"✗ {service}: {_place(fault)} {_IN_WORDS[fault.kind]}.")
        if (more := check.fault_count - len(check.faults)) > 0:
            self._print(f"✗ {service}: and {more} more.")
        if check.is_sound:
            end = "" if end_known else "; whether entries were cut off at the end, only a known head can tell"
            self._print(f"✓ {service}: {check.head.position} entries, an unbroken chain{end}.")
        if check.head.position:
            self._print(f"  head {check.head}")

    def entries(self, told: Sequence[Told]) -> None:
        if self._as_json:
            self._value(
                {
                    "entries": [
                        {
                            "service": service,
                            "position": record.position,
                            "hash": record.hash.hex(),
                            **json.loads(record.text),
                        }
                        for service, record in told
                    ]
                }
            )
            return
        self._table(
            "Audit log",
            ("at", "service", " #", "who", "did", "to", "change", "reason"),
            [
                (
                    *(f"{entry.at:%Y-%m-%d %H:%M:%S}", service, record.position),
                    *(
                        _who(entry.subject, entry.actor),
                        entry.action,
                        f"{entry.object_type} {entry.object_id}",
                    ),
                    *(_change(entry.before, entry.after), entry.reason),
                )
                for service, record in told
                for entry in (record.entry,)
            ],
        )


def _place(fault: ChainFault) -> str:
    if fault.position == fault.until:
        return f"entry {fault.position} is"
    return f"entries {fault.position} to {fault.until} are"


def _who(subject: str, actor: str | None) -> str:
    return subject if actor is None else f"{subject} (by {actor})"


def _change(before: Mapping[str, Detail], after: Mapping[str, Detail]) -> str:
    names = dict.fromkeys([*before, *after])
    return ", ".join(f"{name}: {_side(before, name)}→{_side(after, name)}" for name in names)


def _side(values: Mapping[str, Detail], name: str) -> str:
    return "" if name not in values else "null" if values[name] is None else str(values[name])
