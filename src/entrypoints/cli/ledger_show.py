"""How `payonce ledger` prints."""

from collections.abc import Sequence
from datetime import datetime

from adapters.system.currencies import IsoCurrencies
from domain.payments.balance import Payout
from domain.payments.ledger import AccountBalance
from domain.payments.use_cases.import_balance import Imported
from domain.payments.use_cases.read_ledger import StatementLine
from domain.payments.use_cases.report_payout import PayoutPart, PayoutReport
from domain.payments.use_cases.verify_ledger import LedgerReport
from domain.shared.timeline import stamp
from entrypoints.cli.printer import Printer

_CURRENCIES = IsoCurrencies()


def _money(amount: int, code: str) -> str:
    currency = _CURRENCIES.find(code)
    return currency.format(amount) if currency else f"{amount} {code}"


class Show(Printer):
    """Tables on stdout, or with `as_json` one JSON value there."""

    def balances(self, found: Sequence[AccountBalance], at: datetime | None) -> None:
        if self._as_json:
            self._value({"at": stamp(at), "balances": [balance_fields(one) for one in found]})
            return
        self._table(
            f"Balances before {at:%Y-%m-%d %H:%M:%S}" if at else "Balances",
            ("account", "gateway", "currency", " debits", " credits", " balance"),
            [
                (
                    *(one.account.value, one.gateway, one.currency),
                    *(_money(amount, one.currency) for amount in (one.debits, one.credits, one.amount)),
                )
                for one in found
            ],
        )

    def statement(self, account: str, lines: Sequence[StatementLine]) -> None:
        if self._as_json:
            self._value({"account": account, "lines": [_line(line) for line in lines]})
            return
        self._table(
            f"Statement of {account}",
            ("posted", "kind", "source", "payment", "order", "gateway", " amount", " balance"),
            [
                (
                    f"{line.entry.posted_at:%Y-%m-%d %H:%M:%S}",
                    *(line.entry.kind.value, line.entry.source, line.entry.payment_id, line.entry.order_id),
                    line.entry.gateway,
                    _money(line.posting.amount, line.posting.currency),
                    _money(line.balance, line.posting.currency),
                )
                for line in lines
            ],
        )

    def imported(self, found: Imported) -> None:
        if self._as_json:
            self._value(found)
        else:
            self._print(
                f"{found.transactions} new balance transactions, {found.explained} objects explained."
            )

    def backfilled(self, entries: int) -> None:
        if self._as_json:
            self._value({"entries": entries})
        else:
            self._print(f"{entries} entries posted.")

    def payouts(self, found: Sequence[tuple[str, Payout]]) -> None:
        if self._as_json:
            self._value({"payouts": [{"gateway": name, **_payout(payout)} for name, payout in found]})
            return
        self._table(
            "Payouts",
            ("made", "payout", "gateway", "status", " amount"),
            [
                (
                    f"{one.created_at:%Y-%m-%d}",
                    one.payout_id,
                    name,
                    one.status,
                    _money(one.amount, one.currency),
                )
                for name, one in found
            ],
        )

    def payout(self, report: PayoutReport) -> None:
        code = report.payout.currency
        if self._as_json:
            self._value(
                {
                    "gateway": report.gateway,
                    "payout": _payout(report.payout),
                    "parts": [_part(part) for part in report.parts],
                    "gross": report.gross,
                    "fees": report.fees,
                    "difference": report.difference,
                    "posted": report.posted,
                    "ties": report.ties,
                }
            )
            return
        self._table(
            f"Payout {report.payout.payout_id} of {_money(report.payout.amount, code)}",
            ("made", "transaction", "type", "order", " gross", " fee", " net", "in the ledger"),
            [
                (
                    f"{part.transaction.created_at:%Y-%m-%d %H:%M}",
                    *(part.transaction.transaction_id, part.transaction.type, _order(part)),
                    _money(part.transaction.amount, code),
                    _money(part.transaction.fee, code),
                    _money(part.transaction.net, code),
                    "yes" if part.explained else "NOT EXPLAINED",
                )
                for part in report.parts
            ],
        )
        net = _money(report.gross - report.fees, code)
        self._print(f"{_money(report.gross, code)} less {_money(report.fees, code)} of fees is {net}.")
        if not report.payout.automatic:
            self._print("It was made by hand: the gateway does not say what it is made of.")
        if not report.posted:
            self._print("The ledger has not posted it.")
        self._print(
            "It ties." if report.ties else f"IT DOES NOT TIE: {_money(report.difference, code)} differ."
        )

    def report(self, report: LedgerReport) -> None:
        if self._as_json:
            self._value({"isRight": report.is_right, **report_fields(report)})
            return
        self._table(
            "Clearing and the gateway's balance",
            ("gateway", "currency", " clearing", " at the gateway", " difference"),
            [
                (
                    *(one.gateway, one.currency),
                    *(
                        _money(amount, one.currency)
                        for amount in (one.clearing, one.at_gateway, one.difference)
                    ),
                )
                for one in report.balances
            ],
        )
        for one in report.unexplained:
            moved = one.transaction
            self._print(
                f"Unexplained: {moved.transaction_id} ({moved.type} of {_money(moved.amount, moved.currency)},"
                f" source {moved.source_id}) at {one.gateway}."
            )
        for books in report.disagreeing:
            row = (books.captured, books.refunded, books.disputed)
            posted = (books.ledger_captured, books.ledger_refunded, books.ledger_disputed)
            self._print(
                f"{books.payment_id} of order {books.order_id} says captured, refunded, disputed {row};"
                f" the ledger {posted}."
            )
        for entry_id in report.unbalanced:
            self._print(f"Entry {entry_id} does not sum to zero.")
        verdict = "The ledger is right" if report.is_right else "THE LEDGER IS NOT RIGHT"
        self._print(f"{verdict}: {report.payments} payments compared.")


def _payout(payout: Payout) -> dict[str, object]:
    return {
        "payoutId": payout.payout_id,
        "amount": payout.amount,
        "currency": payout.currency,
        "status": payout.status,
        "automatic": payout.automatic,
        "createdAt": stamp(payout.created_at),
        "arrivesAt": stamp(payout.arrives_at),
    }


def _order(part: PayoutPart) -> str | None:
    return next((entry.order_id for entry in part.entries if entry.order_id), None)


def _part(part: PayoutPart) -> dict[str, object]:
    moved = part.transaction
    return {
        "transactionId": moved.transaction_id,
        "type": moved.type,
        "sourceId": moved.source_id,
        "amount": moved.amount,
        "fee": moved.fee,
        "net": moved.net,
        "currency": moved.currency,
        "createdAt": stamp(moved.created_at),
        "orderId": _order(part),
        "entryIds": [str(entry.entry_id) for entry in part.entries],
        "explained": part.explained,
    }


def _line(line: StatementLine) -> dict[str, object]:
    entry = line.entry
    return {
        "entryId": str(entry.entry_id),
        "postedAt": stamp(entry.posted_at),
        "kind": entry.kind.value,
        "source": entry.source,
        "gateway": entry.gateway,
        "paymentId": entry.payment_id,
        "orderId": entry.order_id,
        "currency": line.posting.currency,
        "amount": line.posting.amount,
        "balance": line.balance,
    }


def balance_fields(one: AccountBalance) -> dict[str, object]:
    return {
        "account": one.account.value,
        "gateway": one.gateway,
        "currency": one.currency,
        "debits": one.debits,
        "credits": one.credits,
        "amount": one.amount,
    }


def report_fields(report: LedgerReport) -> dict[str, object]:
    return {
        "payments": report.payments,
        "balances": [
            {
                "gateway": one.gateway,
                "currency": one.currency,
                "clearing": one.clearing,
                "atGateway": one.at_gateway,
                "difference": one.difference,
            }
            for one in report.balances
        ],
        "unexplained": [
            {
                "gateway": one.gateway,
                "transactionId": one.transaction.transaction_id,
                "type": one.transaction.type,
                "sourceId": one.transaction.source_id,
                "amount": one.transaction.amount,
                "currency": one.transaction.currency,
                "createdAt": stamp(one.transaction.created_at),
            }
            for one in report.unexplained
        ],
        "disagreeing": report.disagreeing,
        "unbalanced": [str(entry_id) for entry_id in report.unbalanced],
    }
