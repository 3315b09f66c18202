"""What the ledger must say, whatever happened: checks that know nothing of the rules by which it posts."""

from collections import Counter
from collections.abc import Sequence

from domain.payments.dispute import Dispute
from domain.payments.ledger import LedgerEntry
from domain.payments.payment import Payment
from domain.payments.use_cases.verify_ledger import LedgerReport


def check_postings(payment: Payment, disputes: Sequence[Dispute], entries: Sequence[LedgerEntry]) -> None:
    """Every entry sums to zero, every fact is posted once, and what is on the accounts is the payment's totals."""
    accounts: Counter[str] = Counter()
    for entry in entries:
        assert entry.payment_id == payment.payment_id
        assert sum(posting.amount for posting in entry.postings) == 0
        assert {posting.currency for posting in entry.postings} == {payment.currency}
        for posting in entry.postings:
            accounts[posting.account.value] += posting.amount
    names = Counter((entry.kind, entry.source) for entry in entries)
    assert not [name for name, times in names.items() if times > 1], "a fact was posted twice"
    withdrawn = sum(dispute.amount_withdrawn for dispute in disputes)
    assert accounts["revenue"] == -payment.amount_captured
    assert accounts["refunds"] == payment.amount_refunded
    assert accounts["disputes"] == withdrawn
    assert accounts["customer_receivable"] == 0
    cleared = payment.amount_captured - payment.amount_refunded - withdrawn
    assert accounts["gateway_clearing"] + accounts["fees"] == cleared


def check_report(report: LedgerReport, pending: dict[str, int]) -> None:
    """Clearing is what the gateway holds, but for refunds that it has begun and not decided: `pending`, by their ids there."""
    assert not report.unbalanced
    assert not report.disagreeing
    assert {one.transaction.source_id for one in report.unexplained} <= set(pending)
    difference = sum(one.difference for one in report.balances)
    assert difference == -sum(pending.values()), report
