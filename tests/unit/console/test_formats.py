"""What pages write values as, and where a sign-in may lead."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from entrypoints.console.pages import _ENVIRONMENT
from entrypoints.console.session import HOME, local_path

FILTERS = _ENVIRONMENT.filters


def test_amounts_have_their_currencys_decimals() -> None:
    money = FILTERS["money"]
    assert [money(1234, code) for code in ("EUR", "JPY", "KWD", "???")] == [
        "12.34 EUR",
        "1234 JPY",
        "1.234 KWD",
        "1234 ???",
    ]
    assert (money(None, "EUR"), money(0, "EUR"), money(-5, "EUR")) == ("–", "0.00 EUR", "-0.05 EUR")


def test_times_name_their_zone_and_spans_their_unit() -> None:
    assert FILTERS["utc"](datetime(2026, 3, 1, 12, 5, 9, 999, UTC)) == "2026-03-01 12:05:09 UTC"
    spans = {0: "0 s", 119: "119 s", 120: "2 min", 7_199: "120 min", 7_200: "2 h", 200_000: "2 d"}
    assert {span: FILTERS["seconds"](span) for span in spans} == spans
    assert FILTERS["seconds"](None) == "–"


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("ada@example.org", "a…@e….org"),
        ("a@b", "a…@…"),
        ("ada@mail.example.org", "a…@m….org"),
        (None, "–"),
        ("", "–"),
    ],
)
def test_an_address_is_recognised_and_not_told(email: str | None, shown: str) -> None:
    assert FILTERS["masked_email"](email) == shown


@given(st.emails())
def test_no_address_is_told_whole(email: str) -> None:
    name, _, host = email.rpartition("@")
    shown = FILTERS["masked_email"](email)
    assert len(name) < 2 or name not in shown
    assert host.rpartition(".")[0] not in shown or len(host.rpartition(".")[0]) < 2


def test_of_an_address_on_the_web_the_host_is_told_alone() -> None:
    assert (
        FILTERS["host"]("https://key:secret@hooks.example:8443/a/b?key=1#x") == "https://hooks.example:8443/…"
    )


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: f"/console{rest}"))
def test_a_sign_in_leads_to_a_page_of_the_console(path: str) -> None:
    led = local_path(path)
    assert led in (path, HOME)
    assert led == HOME or led.startswith(("/console/", "/console?"))
    assert led.isascii()
    assert led.isprintable()
    assert not set(led) & set('\\"<> ') - set("<>")


def test_what_a_template_was_not_given_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        _ENVIRONMENT.from_string("{{ nothing }}").render()
    assert _ENVIRONMENT.from_string("{{ x }}").render(x="<b>\"'&") == "&lt;b&gt;&#34;&#39;&amp;"
