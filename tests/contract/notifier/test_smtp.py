"""The mail adapter against real SMTP servers: encryption, refusals, addresses of any script, lost last words."""

import ssl
from datetime import date
from pathlib import Path

import aiosmtplib
import pytest

from adapters.mail.letters import Letters
from adapters.mail.operators import MailOperatorNotifier
from adapters.mail.shop import Shop
from adapters.mail.smtp import MailDeferred, SmtpNotifier, SmtpServer
from adapters.system.currencies import IsoCurrencies
from domain.orders.messages import CustomerUnreachable
from domain.reconciliation.finding import FindingType
from domain.reconciliation.summary import DaySummary
from entrypoints.mail import server_of
from tests.contract.notifier.test_customer_notifier import ADA, a_message
from tests.support.house import ManualClock
from tests.support.mail_server import MailServer, certificates

LETTERS = Letters(Shop(name="Tea & Oak", sender="orders@shop.test"), IsoCurrencies(), ManualClock().now)


def to(server: MailServer, scheme: str = "smtp", user: str = "") -> SmtpServer:
    return server_of(f"{scheme}://{user}127.0.0.1:{server.port}", 5.0)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_password_is_told_encrypted(tmp_path: Path, scheme: str) -> None:
    certificate, trusted = certificates(tmp_path)
    server = MailServer(passwords={"shop": "p@ss:word"})
    async with server.running(tls=certificate, starts=scheme == "smtp"):
        await SmtpNotifier(to(server, scheme, "shop:p%40ss%3Aword@"), LETTERS, trusted).tell(a_message())
        with pytest.raises(aiosmtplib.SMTPAuthenticationError):
            await SmtpNotifier(to(server, scheme, "shop:wrong@"), LETTERS, trusted).tell(a_message())
    assert [taken.recipients for taken in server.taken] == [[ADA]]
    assert server.logins[0] == ("shop", "p@ss:word")


async def test_a_password_is_not_told_to_a_server_without_encryption() -> None:
    server = MailServer(passwords={"shop": "secret"})
    async with server.running(starts=False):  # it would take the password in the clear
        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            await SmtpNotifier(to(server, user="shop:secret@"), LETTERS).tell(a_message())
    assert (server.taken, server.logins) == ([], [])


async def test_a_server_is_encrypted_to_where_it_can_be_and_only_if_its_certificate_is_trusted(
    tmp_path: Path,
) -> None:
    certificate, trusted = certificates(tmp_path)
    server = MailServer()
    async with server.running(tls=certificate, require_starttls=True):
        await SmtpNotifier(to(server), LETTERS, trusted).tell(a_message())
        with pytest.raises(ssl.SSLCertVerificationError):
            await SmtpNotifier(to(server), LETTERS).tell(a_message())
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    ("command", "answer", "error", "said"),
    [
        ("RCPT", "550 5.1.1 <{address}>: unknown", CustomerUnreachable, "550 5.1.1 <address> unknown"),
        ("RCPT", "552-5.2.2 over\r\n552 quota", CustomerUnreachable, "552 5.2.2 over quota"),
        ("RCPT", "451 4.7.1 greylisted", MailDeferred, "451 4.7.1 greylisted"),
        ("DATA", "554 5.7.1 spam for ada@example.org", CustomerUnreachable, "554 5.7.1 spam for <address>"),
        ("DATA", "452 4.3.1 disk full", MailDeferred, "452 4.3.1 disk full"),
    ],
)
async def test_what_the_server_refuses(command: str, answer: str, error: type[Exception], said: str) -> None:
    server = MailServer(answers={command: answer})
    async with server.running():
        with pytest.raises(error) as refusal:
            await SmtpNotifier(to(server), LETTERS).tell(a_message())
    assert str(refusal.value) == said


async def test_a_server_that_is_not_there_may_be_later() -> None:
    server = MailServer()
    async with server.running():
        pass
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await SmtpNotifier(to(server), LETTERS).tell(a_message())


async def test_a_mail_whose_last_word_was_lost_is_sent_again_with_the_same_id() -> None:
    server = MailServer(breaks_after_data=True)
    async with server.running():
        notifier = SmtpNotifier(to(server), LETTERS)
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await notifier.tell(a_message())
        server.breaks_after_data = False
        await notifier.tell(a_message())
    first, again = (taken.mail for taken in server.taken)
    assert first["Message-ID"] == again["Message-ID"] == "<0190-1@shop.test>"
    assert first["Subject"] == again["Subject"]


async def test_addresses_of_any_script() -> None:
    server = MailServer()
    async with server.running(enable_SMTPUTF8=True):
        notifier = SmtpNotifier(to(server), LETTERS)
        await notifier.tell(a_message(email="ada@bücher.example"))
        await notifier.tell(a_message(email="jörg@bücher.example"))
    assert [taken.recipients for taken in server.taken] == [
        ["ada@xn--bcher-kva.example"],
        ["jörg@xn--bcher-kva.example"],
    ]
    raw = str(server.taken[1].mail["To"]).encode("utf-8", "surrogateescape")  # email reads headers as ASCII
    assert raw.decode() == "Ada Lovelace <jörg@xn--bcher-kva.example>"


async def test_a_server_that_knows_no_other_script_does_not_get_them() -> None:
    server = MailServer()
    async with server.running():
        notifier = SmtpNotifier(to(server), LETTERS)
        await notifier.tell(a_message(email="ada@bücher.example"))
        with pytest.raises(CustomerUnreachable, match="ASCII"):
            await notifier.tell(a_message(email="jörg@example.org"))
    assert len(server.taken) == 1


def test_the_ports_of_addresses_without_one() -> None:
    assert server_of("smtp://mail.test", 5.0).port == 587
    assert server_of("smtps://mail.test", 5.0).port == 465
    assert "word" not in repr(server_of("smtps://shop:word@mail.test", 5.0))


async def test_the_operators_are_sent_their_summary_with_an_id_that_stays() -> None:
    summary = DaySummary(
        day=date(2026, 3, 1),
        looked_at={"orders": 7},
        found={},
        open={FindingType.ORDER_ALTERED: 1},
        drift_seconds=60.0,
        ledger_faults=[],
    )
    server = MailServer()
    async with server.running():
        operators = MailOperatorNotifier(
            server_of(f"smtp://127.0.0.1:{server.port}", 5.0),
            LETTERS.shop,
            "ops@shop.test",
            ManualClock().now,
        )
        await operators.tell(summary)
        await operators.tell(summary)
    assert [taken.recipients for taken in server.taken] == [["ops@shop.test"]] * 2
    first, second = (taken.mail for taken in server.taken)
    assert first["Message-ID"] == second["Message-ID"] == "<reconciliation-2026-03-01@shop.test>"
    assert first["Subject"] == "Books of 2026-03-01: 1 finding(s) open"
    assert first["Auto-Submitted"] == "auto-generated"
    assert "The ledger ties out." in first.get_content()
