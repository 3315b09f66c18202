import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.stripe.amounts import NotRepresentable, from_stripe, to_stripe


@pytest.mark.parametrize(
    ("currency", "ours", "theirs"),
    [
        ("USD", 1099, 1099),
        ("JPY", 500, 500),
        ("KWD", 5120, 5120),
        ("HUF", 1045, 1045),
        ("ISK", 5, 500),
        ("UGX", 5, 500),
        ("MGA", 500, 5),
    ],
)
def test_amounts_are_converted_both_ways(currency: str, ours: int, theirs: int) -> None:
    assert to_stripe(ours, currency) == theirs
    assert from_stripe(theirs, currency) == ours


@pytest.mark.parametrize(("amount", "currency"), [(5125, "KWD"), (1, "TND"), (550, "MGA")])
def test_what_stripe_does_not_have_is_not_rounded(amount: int, currency: str) -> None:
    with pytest.raises(NotRepresentable):
        to_stripe(amount, currency)


def test_a_fraction_that_we_do_not_have_is_not_rounded() -> None:
    with pytest.raises(NotRepresentable):
        from_stripe(550, "ISK")


@given(st.integers(0, 2**53 - 1), st.sampled_from(["EUR", "JPY", "KWD", "ISK", "UGX", "MGA", "BHD"]))
def test_what_was_sent_comes_back_the_same(amount: int, currency: str) -> None:
    try:
        sent = to_stripe(amount, currency)
    except NotRepresentable:
        return
    assert from_stripe(sent, currency) == amount
