"""The mailbox: what is sent to the sandbox by SMTP can be read over HTTP, by programs and by people."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.sandbox import SandboxGateway, SandboxProcess


@pytest.fixture
def smtp(sandbox: SandboxGateway) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", urlsplit(sandbox.smtp_url).port or 0, timeout=10) as connection:
        yield connection


def a_mail(subject: str = "Bücher & <Tee>", to: str = "Ada <ada@example.org>") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Shop <shop@example.org>", to, subject
    mail["Message-ID"] = "<1@shop.example.org>"
    mail.set_content("Grüße\n.\nvon uns\n")
    mail.add_alternative("<p>Grüße <a href='https://shop.example'>von uns</a></p>", subtype="html")
    return mail


def test_a_mail_can_be_read_in_all_its_parts(sandbox: SandboxGateway, smtp: smtplib.SMTP) -> None:
    smtp.send_message(a_mail())
    [mail] = sandbox.mails()
    assert mail["from"] == "Shop <shop@example.org>"
    assert mail["to"] == "ada@example.org"
    assert mail["subject"] == "Bücher & <Tee>"
    assert mail["text"] == "Grüße\n.\nvon uns\n"
    assert mail["html"].strip() == "<p>Grüße <a href='https://shop.example'>von uns</a></p>"
    assert mail["headers"]["Message-ID"] == "<1@shop.example.org>"
    assert mail["receivedAt"].endswith("Z")
    assert sandbox.get(f"/_sandbox/mailbox/{mail['id']}").json() == mail


def test_each_recipient_has_a_mailbox_and_pages_go_back_in_time(
    sandbox: SandboxGateway, smtp: smtplib.SMTP
) -> None:
    for number in range(5):
        smtp.send_message(a_mail(str(number), "ada@example.org, bob@example.org"))
    assert [mail["subject"] for mail in sandbox.mails("ADA@example.org")] == ["4", "3", "2", "1", "0"]
    seen: list[str] = []
    cursor = ""
    while True:
        page: dict[str, Any] = sandbox.get(
            f"/_sandbox/mailbox?to=bob@example.org&limit=2{cursor and f'&cursor={cursor}'}"
        ).json()
        seen += [mail["subject"] for mail in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == ["4", "3", "2", "1", "0"]
    assert len(sandbox.mails()) == 10


def test_people_see_a_page(sandbox: SandboxGateway, smtp: smtplib.SMTP) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    assert "No mail yet" in httpx.get(f"{sandbox.url}/_sandbox/mailbox", headers=browser).text
    for _ in range(21):
        smtp.send_message(a_mail())
    page = httpx.get(f"{sandbox.url}/_sandbox/mailbox", headers=browser)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Bücher &amp; &lt;Tee&gt;" in page.text
    assert "Older" in page.text
    [newest] = sandbox.get("/_sandbox/mailbox?limit=1").json()["items"]
    shown = httpx.get(f"{sandbox.url}/_sandbox/mailbox/{newest['id']}", headers=browser).text
    assert '<iframe title="The mail in HTML" sandbox="' in shown
    assert "allow-scripts" not in shown
    assert "<p>Grüße" not in shown  # it is inside of the attribute


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/mail_0", 404), ("/mail_x", 404), ("/1", 404), (f"/mail_{'9' * 30}", 404), ("/mail_١", 404)),
        *(("?limit=x", 400), ("?cursor=pi_1", 400), ("?limit=-5", 200), ("?to=nobody", 200)),
    ],
)
def test_bad_input(sandbox: SandboxGateway, path: str, status: int) -> None:
    assert sandbox.get(f"/_sandbox/mailbox{path}").status_code == status


def test_some_addresses_do_not_exist(sandbox: SandboxGateway, smtp: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        smtp.send_message(a_mail(to="unknown@example.org"))
    assert refused.value.recipients["unknown@example.org"][0] == 550
    assert sandbox.mails() == []


def test_chaos_puts_mails_off(sandbox: SandboxGateway, smtp: smtplib.SMTP) -> None:
    sandbox.chaos(seed=1, mail={"defer": 1.0})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        smtp.send_message(a_mail())
    assert refused.value.recipients["ada@example.org"][0] == 451
    sandbox.reset()
    smtp.send_message(a_mail())
    assert len(sandbox.mails()) == 1
    sandbox.reset(data=True)
    assert sandbox.mails() == []


def test_mails_outlive_a_kill(
    sandbox_process: SandboxProcess, sandbox: SandboxGateway, smtp: smtplib.SMTP
) -> None:
    smtp.send_message(a_mail())
    sandbox_process.kill()
    sandbox_process.start()
    assert [mail["subject"] for mail in sandbox.mails()] == ["Bücher & <Tee>"]
