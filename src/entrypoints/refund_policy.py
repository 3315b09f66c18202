"""The refund policy as it is written in the settings; docs/refunds.md describes each field."""

from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from adapters.system.currencies import CURRENCIES
from domain.payments.refund_policy import Beyond, Limits, RefundPolicy, Rule
from domain.shared.money import MAX_AMOUNT

Money = dict[str, Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)]]
"""Minor units by currency; a currency that is not named is above the limit with any amount."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Names = Annotated[frozenset[Name], msgspec.Meta(min_length=1)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each left out: without limit."""

    per_refund: Money | None = None
    per_day: Money | None = None
    """In any 24 hours."""
    per_order: Money | None = None

    def __post_init__(self) -> None:
        for limit in (self.per_refund, self.per_day, self.per_order):
            for currency in limit or {}:
                if currency not in CURRENCIES:
                    raise ValueError(f"{currency!r} is no currency of ISO 4217")

    def limits(self) -> Limits:
        return Limits(per_refund=self.per_refund, per_day=self.per_day, per_order=self.per_order)


class RuleSettings(LimitSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For callers whose token has all of `scopes`, who are one of `subjects`, through one of `actors`."""

    name: Name
    scopes: Names | None = None
    subjects: Names | None = None
    actors: Names | None = None
    above_limits: Literal["approve", "refuse"] = "approve"
    max_age_days: Days | None = None
    """Of the payment, since it was begun."""
    beyond_age: Literal["approve", "refuse"] = "refuse"
    approves: LimitSettings = LimitSettings()
    """What such callers may approve of others' refunds."""

    def rule(self) -> Rule:
        return Rule(
            name=self.name,
            scopes=self.scopes or frozenset(),
            subjects=self.subjects,
            actors=self.actors,
            limits=self.limits(),
            above_limits=Beyond(self.above_limits),
            max_age=timedelta(days=self.max_age_days) if self.max_age_days else None,
            beyond_age=Beyond(self.beyond_age),
            approves=self.approves.limits(),
        )


class RefundPolicySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first rule that covers a caller decides; a caller whom none covers may refund and approve nothing."""

    rules: Annotated[tuple[RuleSettings, ...], msgspec.Meta(min_length=1)]
    reasons: Names | None = None
    """What may be given as the reason of a refund; left out: anything."""
    approval_days: Days = 14
    """How long a refund waits for its approval before it is rejected."""

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name}")

    def policy(self) -> RefundPolicy:
        return RefundPolicy(
            rules=tuple(rule.rule() for rule in self.rules),
            reasons=self.reasons,
            waits=timedelta(days=self.approval_days),
        )


# About a thousand euros, in round numbers.
_PER_REFUND: Money = {
    **dict.fromkeys(("CHF", "EUR", "GBP", "USD"), 1_000_00),
    **dict.fromkeys(("AUD", "CAD", "NZD", "SGD"), 1_500_00),
    **dict.fromkeys(("DKK", "NOK", "SEK"), 10_000_00),
    "CZK": 25_000_00,
    "PLN": 4_000_00,
    "HUF": 400_000_00,
    "JPY": 150_000,
    "KRW": 1_500_000,
    "KWD": 300_000,
}

DEFAULT_POLICY = RefundPolicySettings(
    rules=(
        # What orders give back by themselves: a cancellation that meets late money, money that came twice.
        RuleSettings(name="order service", subjects=frozenset({"orders"})),
        RuleSettings(
            name="everybody",
            per_refund=_PER_REFUND,
            per_day={currency: 50 * amount for currency, amount in _PER_REFUND.items()},
        ),
    )
)
