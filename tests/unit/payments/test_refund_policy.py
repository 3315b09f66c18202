"""The policy alone: which rule decides, what its limits let through, and that no sequence passes a limit."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.payments.errors import RefundReasonUnknown
from domain.payments.refund_policy import (
    Beyond,
    Cause,
    Decision,
    Limits,
    RefundPolicy,
    Rule,
    Ruling,
    Usage,
)
from domain.shared.callers import Caller

NEW = timedelta(0)


def caller(subject: str = "ann", *scopes: str, actor: str | None = None) -> Caller:
    return Caller(subject=subject, scopes=frozenset({"refunds:create", *scopes}), actor=actor)


POLICY = RefundPolicy(
    rules=(
        Rule(name="orders alone", subjects=frozenset({"orders"})),
        Rule(name="through the shop", actors=frozenset({"orders"}), limits=Limits(per_refund={"EUR": 5})),
        Rule(name="leads", scopes=frozenset({"role:lead", "role:eu"})),
        Rule(name="staff", subjects=frozenset({"ann", "bob"}), limits=Limits(per_refund={"EUR": 100})),
    ),
    reasons=frozenset({"late", "damaged"}),
)


@pytest.mark.parametrize(
    ("who", "rule"),
    [
        (caller("orders"), "orders alone"),
        (caller("ann", actor="orders"), "through the shop"),
        (caller("ann", "role:lead", "role:eu"), "leads"),
        (caller("ann", "role:lead"), "staff"),
        (caller("eve"), None),
        (caller("eve", actor="billing"), None),
    ],
)
def test_the_first_rule_that_covers_a_caller_decides(who: Caller, rule: str | None) -> None:
    found = POLICY.rule_of(who)
    assert (found.name if found else None) == rule


def decide(rule: Rule, amount: int, *, currency: str = "EUR", age: timedelta = NEW, **used: int) -> Decision:
    return rule.decide(amount, currency, age=age, used=Usage(**used))


def test_each_limit_counts_up_to_its_amount_and_in_its_currency() -> None:
    rule = Rule(
        name="staff",
        limits=Limits(per_refund={"EUR": 100, "JPY": 9}, per_day={"EUR": 250}, per_order={"EUR": 150}),
    )
    assert decide(rule, 100, of_day=150, of_order=50) == Decision(Ruling.ALLOWED, "staff")
    assert decide(rule, 101).causes == (Cause.PER_REFUND,)
    assert decide(rule, 100, of_day=151).causes == (Cause.PER_DAY,)
    assert decide(rule, 100, of_order=51).causes == (Cause.PER_ORDER,)
    assert decide(rule, 101, of_day=150, of_order=50).causes == (
        Cause.PER_REFUND,
        Cause.PER_DAY,
        Cause.PER_ORDER,
    )
    assert decide(rule, 9, currency="JPY").causes == (Cause.PER_DAY, Cause.PER_ORDER)
    assert decide(rule, 1, currency="USD").ruling is Ruling.NEEDS_APPROVAL


@pytest.mark.parametrize(
    ("above", "beyond", "amount", "days", "ruling"),
    [
        (Beyond.APPROVE, Beyond.REFUSE, 101, 30, Ruling.NEEDS_APPROVAL),
        (Beyond.APPROVE, Beyond.REFUSE, 100, 31, Ruling.REFUSED),
        (Beyond.APPROVE, Beyond.REFUSE, 101, 31, Ruling.REFUSED),
        (Beyond.APPROVE, Beyond.APPROVE, 100, 31, Ruling.NEEDS_APPROVAL),
        (Beyond.REFUSE, Beyond.APPROVE, 101, 30, Ruling.REFUSED),
        (Beyond.REFUSE, Beyond.REFUSE, 100, 30, Ruling.ALLOWED),
    ],
)
def test_a_rule_says_what_becomes_of_what_is_beyond_it(
    above: Beyond, beyond: Beyond, amount: int, days: int, ruling: Ruling
) -> None:
    rule = Rule(
        name="staff",
        limits=Limits(per_refund={"EUR": 100}),
        above_limits=above,
        max_age=timedelta(days=30),
        beyond_age=beyond,
    )
    assert decide(rule, amount, age=timedelta(days=days)).ruling is ruling


def test_an_unknown_reason_is_refused_with_those_that_there_are() -> None:
    POLICY.check_reason("late")
    with pytest.raises(RefundReasonUnknown, match="damaged, late") as error:
        POLICY.check_reason("because")
    assert error.value.pointer == "/reason"


CURRENCIES = ("EUR", "USD")
asked = st.tuples(
    st.sampled_from(CURRENCIES),
    st.integers(1, 120),  # the amount
    st.sampled_from(("ord_1", "ord_2")),
    st.integers(0, 20),  # hours since the one before
    st.booleans(),  # whether the gateway gives it
)
limit = st.none() | st.dictionaries(st.sampled_from(CURRENCIES), st.integers(0, 300))


@given(
    st.builds(Limits, per_refund=limit, per_day=limit, per_order=limit),
    st.lists(asked, max_size=25),
)
def test_no_sequence_of_refunds_passes_a_limit(
    limits: Limits, requests: list[tuple[str, int, str, int, bool]]
) -> None:
    """Counted as the port counts: what is promised or given back, of a day by when it went out."""
    rule, hour = Rule(name="staff", limits=limits), 0
    given_back: list[tuple[str, int, str, int]] = []

    def used(currency: str, order: str) -> Usage:
        mine = [one for one in given_back if one[0] == currency]
        return Usage(
            of_day=sum(amount for _, amount, _, at in mine if at > hour - 24),
            of_order=sum(amount for _, amount, of, _ in mine if of == order),
        )

    for currency, amount, order, pause, is_given in requests:
        hour += pause
        decision = rule.decide(amount, currency, age=NEW, used=used(currency, order))
        if decision.ruling is Ruling.ALLOWED and is_given:
            given_back.append((currency, amount, order, hour))
        now = used(currency, order)
        for bound, total in ((limits.per_day, now.of_day), (limits.per_order, now.of_order)):
            assert bound is None or total <= bound.get(currency, 0)
        assert limits.per_refund is None or all(
            amount <= limits.per_refund.get(currency, 0) for currency, amount, _, _ in given_back
        )
