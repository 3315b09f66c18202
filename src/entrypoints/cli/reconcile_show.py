"""How `payonce reconcile` shows what it found."""

import click

from domain.reconciliation.finding import Facts, FindingStatus
from entrypoints.cli.printer import Printer
from entrypoints.operating.reconciling import Disagreement, Report


class Show(Printer):
    def report(self, report: Report) -> None:
        if self._as_json:
            self._value(_value(report))
            return
        where = f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC"
        self._print(f"{report.payments} payments and {report.orders} orders of {where} were compared.")
        if not report.disagreements:
            self._print("The books agree.")
            return
        statuses = [FindingStatus.OPEN, FindingStatus.REPAIRED, FindingStatus.RESOLVED, FindingStatus.IGNORED]
        self._table(
            "By type",
            ["type", *(f" {status.lower()}" for status in statuses), "meaning"],
            [
                [type, *(counted.get(status, 0) for status in statuses), type.meaning]
                for type, counted in sorted(report.by_type().items())
            ],
        )
        self._table(
            "Findings",
            ["type", "object", "order", "expected", "found", "policy", "status", "note"],
            [
                [
                    one.difference.type,
                    one.difference.object_id,
                    one.difference.order_id,
                    _in_words(one.difference.expected),
                    _in_words(one.difference.found),
                    one.action,
                    one.status,
                    one.note,
                ]
                for one in report.disagreements
            ],
        )
        if not report.applied and report.open:
            click.echo("Nothing was written. --apply keeps these, and repairs what the policy says.")


def _in_words(facts: Facts) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in facts.items() if name not in ("object", "gatewayId")
    )


def _value(report: Report) -> dict[str, object]:
    return {
        "since": report.since,
        "until": report.until,
        "applied": report.applied,
        "compared": {"payments": report.payments, "orders": report.orders},
        "open": len(report.open),
        "by_type": [
            {"type": type, **{status.lower(): count for status, count in counted.items()}}
            for type, counted in sorted(report.by_type().items())
        ],
        "findings": [_of(one) for one in report.disagreements],
    }


def _of(one: Disagreement) -> dict[str, object]:
    difference = one.difference
    return {
        "finding_id": one.finding_id,
        "type": difference.type,
        "object_id": difference.object_id,
        "gateway": difference.gateway,
        "payment_id": difference.payment_id,
        "order_id": difference.order_id,
        "expected": dict(difference.expected),
        "found": dict(difference.found),
        "action": one.action,
        "status": one.status,
        "note": one.note,
    }
