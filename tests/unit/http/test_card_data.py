"""What counts as a card number, and what must not."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.card_data import contains_card_number

# The networks' and processors' public test numbers.
CARDS = [
    "4242424242424242",
    "4000056655665556",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "5105105105105100",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6011981111111113",
    "3056930009020004",
    "36227206271667",
    "6555900000604105",
    "3566002020360505",
    "6200000000000005",
    "6205500000000000004",
]


@pytest.mark.parametrize("number", CARDS)
def test_every_network_is_known(number: str) -> None:
    assert contains_card_number(number)
    assert contains_card_number(f"my card {number}, thanks")


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        "4242 - 4242 - 4242 - 4242",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
        "4242\u00a04242\u20114242\u200b4242",
        "４２４２４２４２４２４２４２４２",
        "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
        "4242424242424242 12/29 123",
        "call 030 4242 4242 4242 4242",
        "pm_4242424242424242",
        "PAN=4242424242424242;",
        "+4242424242424242",
    ],
)
def test_it_is_found_however_it_is_written(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242424242424241",  # fails Luhn's check
        "1234567812345670",  # passes it, of no network
        "0000000000000000",
        "424242424242",
        "42424242424242424242424242",  # a piece of a longer number is not a card number
        "ord_01m83wpapzfgdsknj4p27ctrqw",
        "pay_01999999999999999999999999",
        "550e8400-e29b-41d4-a716-446655440000",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "2026-11-23T12:00:00.123456Z",
        "1763899200000",  # milliseconds
        "4006381333931",  # EAN-13 of a German article, and valid by Luhn's check too
        "+49 1512 3456789",
        "+44 20 7946 0958 123",
        "9007199254740991",
    ],
)
def test_other_long_numbers_pass(text: str) -> None:
    assert not contains_card_number(text)


@given(st.uuids())
def test_a_uuid_is_no_card_number(value: UUID) -> None:
    if any(character.isalpha() for character in str(value)):
        assert not contains_card_number(str(value))
        assert not contains_card_number(f"{value.hex}")


@given(st.text(max_size=20), st.sampled_from(CARDS), st.text(max_size=20))
def test_what_stands_around_it_in_words_hides_nothing(before: str, number: str, after: str) -> None:
    assert contains_card_number(f"{before}: {number} :{after}")
