"""What happens by itself when its time has come by the sandbox's clock."""

from collections.abc import Callable

from sandbox.balance import arrive, pay_out
from sandbox.chaos import ChaosMonkey
from sandbox.charges import post_later
from sandbox.confirm import settle_debit
from sandbox.disputes import decide_dispute, open_dispute, overdue_dispute
from sandbox.intents import expire_authorization
from sandbox.refunds import fail_refund, settle_refund
from sandbox.session import Session
from sandbox.store import Store

_ACTIONS: dict[str, Callable[[Session, str], None]] = {
    "decide_dispute": decide_dispute,
    "expire_authorization": expire_authorization,
    "fail_refund": fail_refund,
    "open_dispute": open_dispute,
    "overdue_dispute": overdue_dispute,
    "pay_out": pay_out,
    "payout_arrives": arrive,
    "post_to_balance": post_later,
    "settle_debit": settle_debit,
    "settle_refund": settle_refund,
}


def run_due(store: Store, chaos: ChaosMonkey) -> None:
    """Do everything that is due, each in a transaction of its own, what it causes included."""
    while True:
        rows = store.rows(
            "SELECT seq, due, account, action, object_id FROM later WHERE due <= ? ORDER BY due, seq LIMIT 1",
            chaos.clock.now(),
        )
        if not rows:
            return
        seq, due, account, action, object_id = rows[0]
        with store.transaction():
            store.run("DELETE FROM later WHERE seq = ?", seq)
            # It happened when it was due, though the clock may have jumped far beyond.
            _ACTIONS[action](Session(store, account, int(due), chaos), object_id)
