"""What a payment needs of its order, by caller: nothing is created for an order that wants something else."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.security.keys import KeyFile, create_keys, rotate_keys
from adapters.security.snapshots import LIFETIME_SECONDS, OrderTermsReader, OrderTermsSigner
from domain.payments.check_back import CallerRule, CheckBack, CheckBackPolicy, OrderCheck, Wanted
from domain.payments.errors import (
    OrderSnapshotInvalid,
    OrderSnapshotMissing,
    OrderSnapshotStale,
    OrdersUnavailable,
    OrderTermsDiffer,
    OrderUnknown,
)
from domain.payments.ports import OrderTerms
from domain.shared.callers import Caller

CALLER = Caller("shop", frozenset({"payments:write"}), issuer="payonce")
TERMS = OrderTerms(order_id="ord_1", version=3, amount=1000, currency="EUR", payable=True)
WANTED = Wanted(order_id="ord_1", amount=1000, currency="EUR")


@dataclass
class Orders:
    """The order side, as it is asked and as it signs."""

    keys: KeyFile
    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    terms: OrderTerms | None = TERMS
    is_down: bool = False
    asked: list[str] = field(default_factory=list)

    async def get(self, order_id: str, caller: Caller) -> OrderTerms | None:
        self.asked.append(order_id)
        if self.is_down:
            raise OrdersUnavailable
        return self.terms

    def sign(self, **changes: Any) -> str:
        return OrderTermsSigner(self.keys, lambda: self.now)(replace(TERMS, **changes))

    async def check(self, policy: CheckBack, snapshot: str | None = None, **changes: Any) -> None:
        reader = OrderTermsReader(self.keys, lambda: self.now)
        check = OrderCheck(self, reader, CheckBackPolicy(policy))
        await check(CALLER, replace(WANTED, snapshot=snapshot, **changes))


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(create_keys(tmp_path / "keys.json"))


async def test_each_policy_wants_its_own(orders: Orders) -> None:
    await orders.check(CheckBack.OFF, amount=1)
    await orders.check(CheckBack.SNAPSHOT, orders.sign())
    assert orders.asked == []
    await orders.check(CheckBack.CALLBACK)
    await orders.check(CheckBack.BOTH, orders.sign())
    assert orders.asked == ["ord_1", "ord_1"]


@pytest.mark.parametrize("policy", [CheckBack.SNAPSHOT, CheckBack.BOTH])
async def test_without_the_signed_terms(orders: Orders, policy: CheckBack) -> None:
    with pytest.raises(OrderSnapshotMissing):
        await orders.check(policy)
    header, payload, _ = orders.sign().split(".")
    for forged in ("x", f"{header}.{payload}.", f"{header}.{orders.sign(amount=1).split('.')[1]}.AAAA"):
        with pytest.raises(OrderSnapshotInvalid):
            await orders.check(policy, forged)
    old = orders.sign()
    orders.now += timedelta(seconds=LIFETIME_SECONDS + 31)
    with pytest.raises(OrderSnapshotInvalid, match="expired"):
        await orders.check(policy, old)
    assert orders.asked == []


@pytest.mark.parametrize(
    "changes",
    [{"order_id": "ord_2"}, {"amount": 999}, {"currency": "USD"}, {"payable": False}],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("policy", [CheckBack.SNAPSHOT, CheckBack.CALLBACK, CheckBack.BOTH])
async def test_terms_that_differ(orders: Orders, policy: CheckBack, changes: dict[str, Any]) -> None:
    orders.terms = replace(TERMS, **changes)
    with pytest.raises(OrderTermsDiffer):
        await orders.check(policy, orders.sign(**changes))


async def test_terms_of_an_older_version(orders: Orders) -> None:
    signed = orders.sign()
    orders.terms = replace(TERMS, version=4)
    with pytest.raises(OrderSnapshotStale):
        await orders.check(CheckBack.BOTH, signed)


async def test_an_order_side_that_does_not_answer_or_does_not_know(orders: Orders) -> None:
    orders.is_down = True
    for policy in (CheckBack.CALLBACK, CheckBack.BOTH):
        with pytest.raises(OrdersUnavailable):
            await orders.check(policy, orders.sign())
    await orders.check(CheckBack.SNAPSHOT, orders.sign())
    orders.is_down, orders.terms = False, None
    with pytest.raises(OrderUnknown):
        await orders.check(CheckBack.CALLBACK)


async def test_a_rotation_of_its_keys_leaves_signed_terms_good(orders: Orders, tmp_path: Path) -> None:
    signed = orders.sign()
    rotate_keys(tmp_path / "keys.json")
    await orders.check(CheckBack.SNAPSHOT, signed)
    await orders.check(CheckBack.SNAPSHOT, orders.sign())


def test_the_first_rule_that_is_of_a_caller_decides() -> None:
    policy = CheckBackPolicy(
        rules=[
            CallerRule(CheckBack.OFF, "orders", None),
            CallerRule(CheckBack.BOTH, "payonce", "shop"),
            CallerRule(CheckBack.SNAPSHOT, "payonce", None),
        ]
    )
    assert policy.of(CALLER) is CheckBack.BOTH
    assert policy.of(replace(CALLER, subject="other")) is CheckBack.SNAPSHOT
    assert policy.of(replace(CALLER, subject="u_1", actor="shop")) is CheckBack.BOTH
    assert policy.of(replace(CALLER, subject="orders", issuer="orders")) is CheckBack.OFF
    # Another issuer's token does not become one of ours by its subject.
    assert policy.of(replace(CALLER, issuer="https://login.test")) is CheckBack.CALLBACK
