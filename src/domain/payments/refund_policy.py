"""Who may give back how much on their own authority, and how much they may approve for others.

Pure: what was given back already is counted by the caller, under a lock. docs/refunds.md has the words of
the settings that this is made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from domain.payments.errors import RefundReasonUnknown
from domain.shared.callers import Caller

DAY = timedelta(hours=24)
"""A limit of a day is one of any 24 hours: midnight doubles nothing."""

Money = Mapping[str, int]
"""Minor units by currency; a currency that is not named has nothing."""

NO_RULE = "no rule"
"""What decides about a caller whom no rule covers."""


class Beyond(StrEnum):
    """What becomes of a refund that is beyond a rule's limits or age."""

    APPROVE = "approve"
    """It waits for a second person."""
    REFUSE = "refuse"


class Ruling(StrEnum):
    ALLOWED = "ALLOWED"
    NEEDS_APPROVAL = "NEEDS_APPROVAL"
    REFUSED = "REFUSED"


class Cause(StrEnum):
    """What a refund is beyond."""

    PER_REFUND = "PER_REFUND"
    PER_DAY = "PER_DAY"
    PER_ORDER = "PER_ORDER"
    AGE = "AGE"
    NO_RULE = "NO_RULE"


@dataclass(frozen=True, slots=True)
class Usage:
    """What counts towards the limits before a refund, in its currency."""

    of_day: int = 0
    """Given back, or on its way, on the caller's authority within the last 24 hours."""
    of_order: int = 0
    """Given back of the order, or on its way, on whoever's authority."""


NOTHING_USED = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each None: without limit."""

    per_refund: Money | None = None
    per_day: Money | None = None
    per_order: Money | None = None

    @property
    def count_others(self) -> bool:
        """Whether other refunds matter, so that they must be counted."""
        return self.per_day is not None or self.per_order is not None

    def exceeded(self, amount: int, currency: str, used: Usage) -> tuple[Cause, ...]:
        """The limits that this amount is beyond."""
        measured = (
            (Cause.PER_REFUND, self.per_refund, amount),
            (Cause.PER_DAY, self.per_day, used.of_day + amount),
            (Cause.PER_ORDER, self.per_order, used.of_order + amount),
        )
        return tuple(
            cause for cause, limit, total in measured if limit is not None and total > limit.get(currency, 0)
        )


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """For the callers whose token has all of `scopes`, and who are one of `subjects`, through one of `actors`."""

    name: str
    scopes: frozenset[str] = frozenset()
    subjects: frozenset[str] | None = None
    """None: whoever."""
    actors: frozenset[str] | None = None
    """The services that act for them; None: any, and none."""
    limits: Limits = UNLIMITED
    above_limits: Beyond = Beyond.APPROVE
    max_age: timedelta | None = None
    """Of the payment, since it was begun."""
    beyond_age: Beyond = Beyond.REFUSE
    approves: Limits = UNLIMITED
    """What they may approve of others' refunds; what they approve within a day counts with their own refunds."""

    def covers(self, caller: Caller) -> bool:
        return (
            self.scopes <= caller.scopes
            and (self.subjects is None or caller.subject in self.subjects)
            and (self.actors is None or caller.actor in self.actors)
        )

    def decide(self, amount: int, currency: str, *, age: timedelta, used: Usage) -> "Decision":
        """What becomes of a refund that a caller of this rule asks for."""
        causes = self.limits.exceeded(amount, currency, used)
        beyond = {self.above_limits} if causes else set()
        if self.max_age is not None and age > self.max_age:
            causes = (*causes, Cause.AGE)
            beyond.add(self.beyond_age)
        if Beyond.REFUSE in beyond:
            ruling = Ruling.REFUSED
        else:
            ruling = Ruling.NEEDS_APPROVAL if beyond else Ruling.ALLOWED
        return Decision(ruling, self.name, causes)


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule` decided so; `causes` are what stands in the way, none where it is allowed."""

    ruling: Ruling
    rule: str
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPolicy:
    """The first rule that covers a caller decides; a caller whom none covers may refund and approve nothing."""

    rules: tuple[Rule, ...]
    reasons: frozenset[str] | None = None
    """What may be given as the reason; None: anything."""
    waits: timedelta = field(default=timedelta(days=14))
    """How long a refund waits for its approval before it is rejected."""

    def rule_of(self, caller: Caller) -> Rule | None:
        return next((rule for rule in self.rules if rule.covers(caller)), None)

    def check_reason(self, reason: str) -> None:
        """Raises RefundReasonUnknown, which names those that there are."""
        if self.reasons is not None and reason not in self.reasons:
            raise RefundReasonUnknown(
                f"the reason must be one of {', '.join(sorted(self.reasons))}", pointer="/reason"
            )


EVERYTHING_ALLOWED = RefundPolicy(rules=(Rule(name="everybody"),))
