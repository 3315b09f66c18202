"""Logs: one JSON object a line, with the ids of the work at hand and nothing that is secret."""

import json
import logging

import pytest
import structlog

from entrypoints.logging import configure_logging, masked_text
from tests.support.logs import restored

_restored = pytest.fixture(autouse=True)(restored)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_our_logs_and_those_of_libraries_look_alike(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    with structlog.contextvars.bound_contextvars(order_id="ord_1", request_id="req_1"):
        structlog.get_logger("payonce").info("confirmed", payment_id="pay_1", amount=4200)
        logging.getLogger("alembic").info("upgrade %s", "head")
    captured = capsys.readouterr()
    assert captured.out == ""
    ours, theirs = lines(captured.err)
    assert {
        key: ours[key] for key in ("event", "level", "order_id", "payment_id", "request_id", "amount")
    } == {
        "event": "confirmed",
        "level": "info",
        "order_id": "ord_1",
        "payment_id": "pay_1",
        "request_id": "req_1",
        "amount": 4200,
    }
    assert theirs["event"] == "upgrade head"
    assert theirs["order_id"] == "ord_1"
    assert ours.keys() - {"payment_id", "amount"} == theirs.keys()


def test_a_signed_head_of_the_audit_log_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    jws = "eyJhbGciOiJFZERTQSJ9.eyJwb3NpdGlvbiI6MX0.c2lnbmF0dXJl"
    structlog.get_logger("payonce").info("audit_head", audit_anchor=jws, other=jws)
    (line,) = lines(capsys.readouterr().err)
    assert (line["audit_anchor"], line["other"]) == (jws, "***")


def test_an_exception_keeps_its_traceback_and_loses_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    try:
        raise ValueError("no entry for ann@example.com with sk_test_payonce")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    for line in lines(capsys.readouterr().err):
        assert "ValueError: no entry for *** with ***" in str(line["exception"])


def test_values_under_telling_keys_are_masked_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    structlog.get_logger().info(
        "call",
        clientSecret="pi_1_secret_2",
        headers={"Authorization": "Basic abc", "Idempotency-Key": "k-1"},
        customer=[{"email": "x", "id": "cus_1"}],
        token_id="tok_1",
        database_url=object(),
        path=("a", "bearer abc"),
        nothing=None,
    )
    (line,) = lines(capsys.readouterr().err)
    assert line["clientSecret"] == "***"
    assert line["headers"] == {"Authorization": "***", "Idempotency-Key": "k-1"}
    assert line["customer"] == [{"email": "***", "id": "cus_1"}]
    assert line["token_id"] == "tok_1"
    assert line["path"] == ["a", "***"]
    assert line["nothing"] is None


SECRET = [
    "sk_test_payonce",
    "rk_live_51Habc",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "pi_3Abc_secret_dEf",
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1XzEifQ.c2ln",
    "Bearer abc.def",
    "ann.o+shop@mail.example.com",
    "4242424242424242",
    "4242 4242 4242 4242",
    "3782-822463-10005",
]


@pytest.mark.parametrize("secret", SECRET)
def test_secrets_are_masked_within_a_text(secret: str) -> None:
    assert masked_text(f"before {secret} after") == "before *** after"


@pytest.mark.parametrize(
    "text",
    [
        "ord_01JDABCDEFGHJKMNPQRSTVWXYZ paid 4200 EUR",
        "2026-11-23T12:00:00.000000Z",
        "1234567890123456",
        "0193-5af0-7c11-4242424242424242",
        "pi_3Abc of pay_01JDABC",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert masked_text(text) == text


def test_a_password_within_an_address_is_masked() -> None:
    assert masked_text("to postgresql://u:hunter2@h:5432/d") == "to postgresql://***@h:5432/d"


def test_a_card_number_that_is_an_integer_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG", "json")
    structlog.get_logger().debug("call", number=4242424242424242, position=4242424242424243)
    (line,) = lines(capsys.readouterr().err)
    assert (line["number"], line["position"]) == ("***", 4242424242424243)


def test_the_console_form_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "console")
    structlog.get_logger().info("confirmed", order_id="ord_1")
    assert "order_id=ord_1" in capsys.readouterr().err
