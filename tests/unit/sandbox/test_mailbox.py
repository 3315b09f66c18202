"""The mailbox is bounded, and reads whatever comes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from sandbox import mailbox
from sandbox.clock import Clock
from sandbox.http import Request
from sandbox.mailbox import Mailbox
from sandbox.store import Store


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    return Mailbox(Store(tmp_path / "sandbox.sqlite3"), Clock())


def read(box: Mailbox) -> list[dict[str, Any]]:
    request = Request("GET", "/_sandbox/mailbox", b"limit=100", {}, b"", "http://sandbox.test")
    items: list[dict[str, Any]] = msgspec.json.decode(box.answer(request).body)["items"]
    return items


def test_the_oldest_are_forgotten(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MOST_MAILS", 3)
    for number in range(5):
        box.keep(["ada@example.org"], f"Subject: {number}\r\n\r\nHello".encode())
    assert [mail["subject"] for mail in read(box)] == ["4", "3", "2"]


@pytest.mark.parametrize(
    ("content", "subject", "text"),
    [
        (b"", "", ""),
        (b"Subject: plain\r\n\r\nHello\r\n", "plain", "Hello\n"),
        ("Subject: Grüße\r\n\r\nHello".encode(), "Grüße", "Hello"),
        (b"no headers at all", "", "no headers at all"),
        (b"Subject: \xff\r\n\r\n\xff", "\ufffd", "\ufffd"),
        (b"Content-Type: image/png\r\n\r\nx", "", None),
        (b"Content-Type: multipart/mixed\r\n\r\nx", "", None),
        (b'Content-Type: text/plain; charset="no-such"\r\n\r\nx', "", "x"),
    ],
)
def test_whatever_comes_is_kept(box: Mailbox, content: bytes, subject: str, text: str | None) -> None:
    box.keep(["ada@example.org"], content)
    [mail] = read(box)
    assert (mail["subject"], mail["text"], mail["html"]) == (subject, text, None)
