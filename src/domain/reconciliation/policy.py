"""What is done about each type of finding, as data: the operator's word, else the default."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.reconciliation.finding import Action, Difference, FindingType

_T, _A = FindingType, Action

_ALWAYS = frozenset({_A.FLAG, _A.IGNORE})

ALLOWED: Mapping[FindingType, frozenset[Action]] = {
    _T.MISSING_WEBHOOK: _ALWAYS | {_A.APPLY},
    _T.GATEWAY_SUCCEEDED: _ALWAYS | {_A.APPLY, _A.REFUND},
    # What we said has gone out to the order and the customer: only a person takes it back.
    _T.GATEWAY_DID_NOT_SUCCEED: _ALWAYS,
    _T.AMOUNT_DIFFERS: _ALWAYS,
    _T.CURRENCY_DIFFERS: _ALWAYS,
    _T.REFUND_AT_GATEWAY: _ALWAYS | {_A.APPLY},
    _T.UNKNOWN_PAYMENT: _ALWAYS,
    _T.UNKNOWN_DISPUTE: _ALWAYS | {_A.APPLY},
    _T.STALE_AUTHORIZATION: _ALWAYS | {_A.APPLY},
    _T.PAYMENT_ALTERED: _ALWAYS,
    _T.STUCK_OPERATION: _ALWAYS,
    _T.PAYMENT_WITHOUT_ORDER: _ALWAYS | {_A.REFUND},
    _T.ORDER_PAID_WITHOUT_PAYMENT: _ALWAYS,
    _T.ORDER_ALTERED: _ALWAYS,
    _T.STUCK_ATTEMPT: _ALWAYS,
    _T.TWO_LIVE_PAYMENTS: _ALWAYS | {_A.REFUND},
    _T.EVENT_NOT_APPLIED: _ALWAYS | {_A.APPLY},
    _T.LEDGER_DIFFERS: _ALWAYS,
    _T.UNEXPLAINED_BALANCE_TRANSACTION: _ALWAYS,
}
"""Which actions make sense for a type."""

DEFAULTS: Mapping[FindingType, Action] = {
    finding_type: _A.APPLY if _A.APPLY in allowed else _A.FLAG for finding_type, allowed in ALLOWED.items()
}
"""What the other book proves is taken over; what costs somebody money, or is our own mistake, a person decides."""


class PolicyWrong(Exception):
    """A policy names an action that its type does not allow; the text says which are."""


@dataclass(frozen=True, slots=True)
class RepairPolicy:
    """`chosen` are the operator's; the others are DEFAULTS'. Raises PolicyWrong."""

    chosen: Mapping[FindingType, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for finding_type, action in self.chosen.items():
            if action not in ALLOWED[finding_type]:
                allowed = ", ".join(sorted(ALLOWED[finding_type]))
                raise PolicyWrong(f"{finding_type} allows {allowed}, not {action}")

    def action_for(self, difference: Difference) -> Action:
        action = self.chosen.get(difference.type, DEFAULTS[difference.type])
        if difference.by_hand and action is not Action.IGNORE:
            return Action.FLAG
        return action
