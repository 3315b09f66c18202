"""Sealed values: what opens them, and that nothing else does."""

import pytest

from adapters.postgres.sealed_columns import ANSWERS, OPERATIONS, ORDERS, PAYMENTS, is_sealed
from adapters.postgres.sealing import StoredDataUnreadable, Vault, key_of
from adapters.security.data_keys import FixedDataKeys
from adapters.system.randomness import random_bytes
from tests.support.vault import DATA_KEYS, VAULT

NEWER = f"newer:{'A' * 43}="
PLACE = "orders.orders.customer:ord_1"


def test_what_is_sealed_is_opened_and_is_another_text_each_time() -> None:
    own = VAULT.new_key("orders", "ord_1")
    for key in (None, own):
        sealed = VAULT.seal(PLACE, b"Ada", key)
        assert is_sealed(sealed)
        assert VAULT.open(PLACE, sealed, key) == b"Ada"
        assert VAULT.seal(PLACE, b"Ada", key) != sealed


@pytest.mark.parametrize("by", ["the record's key", "the key-encryption key"])
def test_a_moved_or_altered_value_is_refused(by: str) -> None:
    own = VAULT.new_key("orders", "ord_1") if by == "the record's key" else None
    sealed = VAULT.seal(PLACE, b"Ada", own)
    head, tail = sealed[:-6], sealed[-6:]
    for place, value in (
        ("orders.orders.customer:ord_2", sealed),
        ("orders.orders.metadata:ord_1", sealed),
        (PLACE, head + tail[::-1]),
        (PLACE, head),
        (PLACE, "sealed1.none"),
        (PLACE, "sealed1.test.*"),
        (PLACE, sealed.replace(".", ".gone", 1)),
    ):
        with pytest.raises(StoredDataUnreadable):
            VAULT.open(place, value, own)


def test_a_record_key_opens_nothing_of_another_record() -> None:
    first, second = (VAULT.new_key("orders", record) for record in ("ord_1", "ord_2"))
    sealed = VAULT.seal(PLACE, b"Ada", first)
    with pytest.raises(StoredDataUnreadable):
        VAULT.open(PLACE, sealed, second)
    with pytest.raises(StoredDataUnreadable):
        VAULT.unwrap("orders", "ord_2", first.wrapped)
    with pytest.raises(StoredDataUnreadable):
        VAULT.unwrap("payments", "ord_1", first.wrapped)
    assert VAULT.open(PLACE, sealed, VAULT.unwrap("orders", "ord_1", first.wrapped)) == b"Ada"


def test_a_rewrapped_key_is_the_same_key_under_the_newest() -> None:
    old = VAULT.new_key("orders", "ord_1")
    sealed = VAULT.seal(PLACE, b"Ada", old)
    newer = Vault(FixedDataKeys(f"{NEWER},{DATA_KEYS}", "the test"), random_bytes)
    wrapped = newer.rewrap("orders", "ord_1", old.wrapped)
    assert (key_of(old.wrapped), key_of(wrapped)) == ("test", "newer")
    alone = Vault(FixedDataKeys(NEWER, "the test"), random_bytes)  # the older key may go
    assert alone.open(PLACE, sealed, alone.unwrap("orders", "ord_1", wrapped)) == b"Ada"
    with pytest.raises(StoredDataUnreadable):
        alone.unwrap("orders", "ord_1", old.wrapped)


def test_a_salt_serves_no_more_values_than_its_nonces_are_safe_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.postgres.sealing.VALUES_PER_SALT", 2)
    drawn: list[int] = []

    def random(size: int) -> bytes:
        drawn.append(size)
        return bytes([len(drawn)]) * size

    vault = Vault(VAULT.keys, random)
    values = [vault.seal(PLACE, b"Ada") for _ in range(5)]
    assert drawn.count(16) == 3
    assert [vault.open(PLACE, value) for value in values] == [b"Ada"] * 5


def test_a_column_keeps_its_type() -> None:
    own = VAULT.new_key("orders", "ord_1")
    order = {"order_id": "ord_1", "data_key": own.wrapped}
    json = ORDERS.seal(VAULT, "customer", order, '{"name":"Ada"}', own)
    assert isinstance(json, str)
    assert json.startswith('"sealed1.own.')
    assert ORDERS.open(VAULT, "customer", order, json) == '{"name":"Ada"}'
    text = PAYMENTS.seal(VAULT, "client_secret", {"payment_id": "pay_1"}, "pi_1_secret_2")
    assert isinstance(text, str)
    assert text.startswith("sealed1.test.")
    body = ANSWERS["orders"].seal(VAULT, "body", {"owner": b"\x01", "key": "k"}, b"{}")
    assert isinstance(body, bytes)
    assert ANSWERS["orders"].open(VAULT, "body", {"owner": b"\x01", "key": "k"}, body) == b"{}"


def test_what_lies_plainly_is_read_as_it_is() -> None:
    assert ORDERS.open(VAULT, "customer", {"order_id": "ord_1"}, '{"name":"Ada"}') == '{"name":"Ada"}'


def test_without_its_destroyed_key_a_value_is_blank_and_without_a_row_it_is_a_fault() -> None:
    own = VAULT.new_key("payments", "pay_1")
    row = {"operation_id": "op_1", "payment_id": "pay_1"}
    sealed = OPERATIONS.seal(VAULT, "request", row, '{"path":"/x","params":{}}', own)
    assert OPERATIONS.open(VAULT, "request", {**row, "data_key": ""}, sealed) == '{"path":"","params":{}}'
    with pytest.raises(StoredDataUnreadable):
        OPERATIONS.open(VAULT, "request", {**row, "data_key": None}, sealed)
