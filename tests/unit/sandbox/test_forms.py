"""Bracket notation, as the SDKs and curl send it."""

import pytest

from sandbox.errors import ApiError
from sandbox.forms import decode_form
from sandbox.params import check_params


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", {}),
        (b"a=1&b=", {"a": "1", "b": ""}),
        (b"a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        (b"a[0][b]=x&a[1][b]=y", {"a": {"0": {"b": "x"}, "1": {"b": "y"}}}),
        (b"a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        (b"a%5Bb%5D=%C3%A9+e", {"a": {"b": "é e"}}),
    ],
)
def test_forms(body: bytes, form: dict[str, object]) -> None:
    assert decode_form(body) == form


@pytest.mark.parametrize(
    "body",
    [
        b"a=\xff",
        b"a[=1",
        b"[a]=1",
        b"a[b]c=1",
        b"a=1&a[b]=2",
        b"a[b]=1&a=2",
        b"a[b][b][b][b][b][b][b][b][b][b][b]=1",
    ],
)
def test_what_is_no_form(body: bytes) -> None:
    with pytest.raises(ApiError):
        decode_form(body)


def checked(body: bytes) -> dict[str, object]:
    return check_params("PaymentIntentCreateParams", decode_form(b"amount=1&currency=usd&" + body))


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        (b"confirm=true", "confirm", True),
        (b"off_session=true", "off_session", True),
        (b"off_session=recurring", "off_session", "recurring"),
        (b"metadata[0]=x", "metadata", {"0": "x"}),
        (b"metadata=", "metadata", {}),
        (b"allowed_payment_method_types[]=card", "allowed_payment_method_types", ["card"]),
        (b"expand[10]=b&expand[2]=a", "expand", ["a", "b"]),
        (b"amount_details[line_items]=", "amount_details", {"line_items": ""}),
        (
            b"payment_method_options[card][request_multicapture]=if_available",
            "payment_method_options",
            {"card": {"request_multicapture": "if_available"}},
        ),
        (
            b"amount_details[line_items][0][product_name]=Tea&amount_details[line_items][0][quantity]=2"
            b"&amount_details[line_items][0][unit_cost]=3",
            "amount_details",
            {"line_items": [{"product_name": "Tea", "quantity": 2, "unit_cost": 3}]},
        ),
    ],
)
def test_parameters_get_their_types(body: bytes, name: str, value: object) -> None:
    assert checked(body)[name] == value


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"off_session=maybe", "off_session"),
        (b"expand=latest_charge", "expand"),
        (b"expand[x]=latest_charge", "expand"),
        (b"metadata[a][b]=1", "metadata[a]"),
        (b"shipping=x", "shipping"),
        (b"shipping[name]=x", "shipping[address]"),
        (b"payment_method_options[card][nothing]=1", "payment_method_options[card][nothing]"),
        (b"idempotency_key=x", "idempotency_key"),
    ],
)
def test_what_stripe_does_not_take(body: bytes, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        checked(body)
    assert refused.value.param == param
