"""Parsing: strict, every fault told at once, nothing odd let through."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.bodies import MAX_DEPTH, parse_json
from entrypoints.http.problems import Fault, Problem
from entrypoints.http.schemas.orders import CheckoutBody, CreateOrderBody
from entrypoints.http.schemas.payments import CreateIntentBody, CreatePaymentBody
from entrypoints.http.schemas.refunds import CreateRefundBody

CARD = "4242424242424242"
LINE = {"sku": "TEA", "name": "Tea", "quantity": 1, "unitAmount": 990}
CART: dict[str, Any] = {"currency": "EUR", "lines": [LINE]}
REFUND = {"paymentId": "pay_1", "amount": 990, "currency": "EUR", "reason": "torn"}


def problem_of(body: Any, schema: Any = CreateOrderBody) -> Problem:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as refused:
        parse_json(text, schema)
    assert refused.value.status == 400
    return refused.value


def faults_of(body: Any, schema: Any = CreateOrderBody) -> dict[str, str]:
    problem = problem_of(body, schema)
    assert problem.code == "malformed"
    return {fault.pointer: fault.message for fault in problem.errors}


def test_a_good_body() -> None:
    body = parse_json(json.dumps(CART).encode(), CreateOrderBody).value
    assert (body.currency, body.lines[0].unit_amount, body.shipping_amount) == ("EUR", 990, 0)
    assert parse_json(b"{}", CheckoutBody).value == CheckoutBody()


def test_all_faults_are_told_with_their_places() -> None:
    body = {
        "currency": "eur",
        "colour": "red",
        "customer": {"email": "nobody", "billingAddress": {"country": "Germany", "street": "x"}},
        "lines": [LINE, {"sku": "", "quantity": 1.5, "unitAmount": -1, "taxAmount": "3"}, 7],
        "metadata": {"a/b": 1, "": "x"},
        "shippingAmount": True,
    }
    assert faults_of(body) == {
        "/currency": "Expected an upper-case currency code of ISO 4217.",
        "/colour": "There is no such field.",
        "/customer/email": "Expected an e-mail address.",
        "/customer/billingAddress/country": "Expected two letters of ISO 3166-1.",
        "/customer/billingAddress/street": "There is no such field.",
        "/lines/1/sku": "Expected str of length >= 1.",
        "/lines/1/name": "This field is missing.",
        "/lines/1/quantity": "Expected int, got float.",
        "/lines/1/unitAmount": "Expected int >= 0.",
        "/lines/1/taxAmount": "Expected int | null, got str.",
        "/lines/2": "Expected object, got int.",
        "/metadata/a~1b": "Expected str, got int.",
        "/metadata/": "Expected str of length >= 1.",
        "/shippingAmount": "Expected int, got bool.",
    }


@pytest.mark.parametrize(
    "amount", [0, -1, 10.5, 10.0, 2**53, 10**30, "990", True, None, [990], {"value": 990}]
)
def test_amounts_are_positive_integers_that_every_client_reads(amount: Any) -> None:
    assert list(faults_of({**REFUND, "amount": amount}, CreateRefundBody)) == ["/amount"]


@pytest.mark.parametrize("number", [b"1e2", b"1E2", b"100.0", b"1e999", b"1" * 5000])
def test_numbers_are_written_as_integers(number: bytes) -> None:
    problem_of(json.dumps(REFUND).encode().replace(b"990", number), CreateRefundBody)


@pytest.mark.parametrize("amount", [1, 2**53 - 1])
def test_the_extreme_amounts_pass(amount: int) -> None:
    parse_json(json.dumps({**REFUND, "amount": amount}).encode(), CreateRefundBody)


@pytest.mark.parametrize("currency", ["eur", "XXX", "XAU", "EURO", "", "EUR\n", "€", None, 978])
def test_unknown_currencies(currency: Any) -> None:
    assert list(faults_of({**REFUND, "currency": currency}, CreateRefundBody)) == ["/currency"]


@pytest.mark.parametrize("name", ["currency", "lines"])
def test_a_missing_field(name: str) -> None:
    body = {key: value for key, value in CART.items() if key != name}
    assert faults_of(body) == {f"/{name}": "This field is missing."}


def test_the_method_is_required_where_the_payment_is_confirmed_at_once() -> None:
    body = {"orderId": "o-1", "amount": 1, "currency": "EUR"}
    assert parse_json(json.dumps(body).encode(), CreateIntentBody).value.payment_method_token is None
    assert faults_of(body, CreatePaymentBody) == {"/paymentMethodToken": "This field is missing."}


@pytest.mark.parametrize("order_id", ["", "a b", "a" * 65, "ä", "a\n", "../x"])
def test_order_ids(order_id: str) -> None:
    body = {"orderId": order_id, "amount": 1, "currency": "EUR"}
    assert list(faults_of(body, CreateIntentBody)) == ["/orderId"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"reason": "\xff"}', "UTF-8"),
        (b'{"reason": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"reason": "\\ud800"}', "surrogate"),
        (b'{"reason": "a", "reason": "b"}', "twice"),
        (b'{"amount": NaN}', "NaN"),
        (b'{"amount": -Infinity}', "Infinity"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, ""),
    ],
)
def test_what_is_no_json(text: bytes, says: str) -> None:
    assert says in problem_of(text).detail


@pytest.mark.parametrize("body", [[], [CART], "x", 1, None, True])
def test_the_body_is_an_object(body: Any) -> None:
    assert list(faults_of(body)) == [""]


def test_no_nul_in_a_text() -> None:
    assert problem_of({**CART, "metadata": {"a": "x\x00y"}}).code == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        {**CART, "metadata": {"note": f"card {CARD}"}},
        {**CART, "metadata": {CARD: "x"}},
        {**CART, "unknown": {"deep": [[{"er": CARD}]]}},
        {**CART, "unknown": int(CARD)},
        {**CART, "unknown": float(CARD)},
        {**CART, "lines": [{**LINE, "sku": CARD}]},
        {**CART, "lines": [{**LINE, "name": "4242 4242 4242 4242"}]},
        {**CART, CARD: 1},
        [CARD],
        CARD,
        int(CARD),
    ],
)
def test_a_card_number_anywhere_is_refused_and_not_repeated(body: Any) -> None:
    problem = problem_of(body)
    assert problem.code == "card_data_forbidden"
    assert "4242" not in problem.answer().body.decode()


def test_a_card_number_in_escapes_is_found() -> None:
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in CARD)
    assert problem_of(f'{{"x":"{escaped}"}}'.encode()).code == "card_data_forbidden"


def test_a_long_list_of_faults_is_cut() -> None:
    assert len(problem_of({**CART, "lines": [{}] * 900}).errors) == 100


def test_an_overlong_name_is_not_repeated() -> None:
    assert problem_of({**CART, "x" * 1000: 1}).errors == [Fault("", "There is no such field.")]


def _status(parse: Callable[[], object]) -> int | None:
    """The status of the problem that a body is answered with; None where it is accepted."""
    try:
        parse()
    except Problem as problem:
        return problem.status
    return None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_anything_is_either_parsed_or_a_problem(value: Any) -> None:
    assert _status(lambda: parse_json(json.dumps(value).encode(), CreateOrderBody)) in (None, 400)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_parsed_or_a_problem(text: bytes) -> None:
    assert _status(lambda: parse_json(text, CheckoutBody)) in (None, 400)


@given(st.permutations(list({**CART, "shippingAmount": 3, "metadata": {"a": "1", "b": "2"}}.items())))
def test_the_canonical_form_knows_no_order_and_no_blanks(items: list[tuple[str, Any]]) -> None:
    body = dict(items)
    loose = parse_json(json.dumps(body, indent=3).encode(), CreateOrderBody).canonical
    tight = parse_json(json.dumps(dict(sorted(items)), separators=(",", ":")).encode(), CreateOrderBody)
    assert loose == tight.canonical


class Nested(msgspec.Struct):
    value: Any


@pytest.mark.parametrize("shape", ['{"value": %s}', '{"value": [1, {"a": %s}]}'])
def test_lists_and_objects_stand_in_one_another_to_a_depth(shape: str) -> None:
    for inner, ends in (("[", "]"), ('{"x":', "}")):
        levels = MAX_DEPTH - shape.count("{") - shape.count("[")
        within = shape % (inner * levels + "1" + ends * levels)
        parse_json(within.encode(), Nested)
        beyond = shape % (inner * (levels + 1) + "1" + ends * (levels + 1))
        with pytest.raises(Problem) as refused:
            parse_json(beyond.encode(), Nested)
        assert (refused.value.code, refused.value.detail) == (
            "invalid_json",
            "The body is nested too deeply.",
        )


def test_many_lists_and_objects_side_by_side_are_no_depth() -> None:
    parse_json(b'{"value": [' + b"[{}]," * 50_000 + b"0]}", Nested)
