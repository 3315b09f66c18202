"""Mails that the sandbox was sent: kept to be looked at, `GET /_sandbox/mailbox`, as JSON or as a page."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode

from sandbox.clock import Clock
from sandbox.html import page
from sandbox.http import Request, Response, json_response
from sandbox.store import Store, decode, encode

Json = dict[str, Any]

PREFIX = "/_sandbox/mailbox"
MOST_MAILS = 5000
"""The oldest are forgotten beyond that."""
_LONGEST_PAGE = 100
_PAGE = 20


class Mailbox:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def keep(self, recipients: list[str], content: bytes) -> None:
        """One for each recipient, as each of them has a mailbox."""
        received = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        read = {**_read(content), "receivedAt": received.replace("+00:00", "Z")}
        with self._store.transaction():
            for recipient in recipients:
                mail = encode({"to": recipient, **read})
                self._store.run("INSERT INTO mail (recipient, body) VALUES (?, ?)", recipient, mail)
            self._store.run("DELETE FROM mail WHERE seq <= (SELECT max(seq) FROM mail) - ?", MOST_MAILS)

    def answer(self, request: Request) -> Response:
        """`GET` of the list, or of one mail; a page for those who prefer HTML, as browsers do."""
        as_page = "text/html" in request.headers.get("accept", "")
        name = request.path.removeprefix(PREFIX).removeprefix("/")
        if name:
            mail = self._find(name)
            if mail is None:
                return json_response(404, {"error": {"message": f"There is no mail {name}."}})
            return _mail_page(mail) if as_page else json_response(200, mail)
        query = {key: values[-1] for key, values in parse_qs(request.query.decode("latin-1")).items()}
        try:
            limit = min(max(int(query.get("limit", _PAGE)), 1), _LONGEST_PAGE)
            before = _number(query["cursor"]) if "cursor" in query else None
        except ValueError:
            message = "limit is a number, and cursor the nextCursor of a page."
            return json_response(400, {"error": {"type": "invalid_request_error", "message": message}})
        items, more = self._list(query.get("to"), before, limit)
        cursor = items[-1]["id"] if more else None
        if as_page:
            return _list_page(items, {**query, "cursor": cursor} if cursor else None)
        return json_response(200, {"items": items, "nextCursor": cursor})

    def _list(self, recipient: str | None, before: int | None, limit: int) -> tuple[list[Json], bool]:
        """Newest first; whether there are more."""
        rows = self._store.rows(
            "SELECT seq, body FROM mail WHERE (?1 IS NULL OR recipient = ?1) AND (?2 IS NULL OR seq < ?2)"
            " ORDER BY seq DESC LIMIT ?3",
            recipient,
            before,
            limit + 1,
        )
        return [_with_id(seq, body) for seq, body in rows[:limit]], len(rows) > limit

    def _find(self, name: str) -> Json | None:
        try:
            rows = self._store.rows("SELECT seq, body FROM mail WHERE seq = ?", _number(name))
        except ValueError:
            return None
        return _with_id(*rows[0]) if rows else None


def _number(mail_id: str) -> int:
    """Raises ValueError."""
    kind, _, number = mail_id.partition("_")
    if kind != "mail" or not number.isascii() or not 0 < len(number) <= 18:
        raise ValueError(mail_id)
    return int(number)


def _with_id(seq: int, body: str) -> Json:
    return {"id": f"mail_{seq}", **decode(body)}


def _read(content: bytes) -> Json:
    mail = message_from_bytes(content, policy=SMTPUTF8)
    assert isinstance(mail, EmailMessage)
    headers = {name: _text(value) for name, value in mail.items()}
    return {
        "from": headers.get("From", ""),
        "subject": headers.get("Subject", ""),
        "text": _body(mail, "plain"),
        "html": _body(mail, "html"),
        "headers": headers,
    }


def _text(value: object) -> str:
    """`email` takes a header for ASCII, and hides what is UTF-8 in surrogates."""
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _body(mail: EmailMessage, form: str) -> str | None:
    part = mail.get_body((form,))
    if part is None:
        return None
    try:
        text = part.get_content()
    except LookupError:  # a charset that Python does not know
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None
    return text.replace("\r\n", "\n") if isinstance(text, str) else None


# For people

_LIST_STYLE = """
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.35rem; overflow-wrap: break-word; }
h2 { font-size: 1.1rem; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid #8886; vertical-align: top; }
td { overflow-wrap: break-word; }
time { white-space: nowrap; font-variant-numeric: tabular-nums; }
"""
_MAIL_STYLE = """
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.35rem; overflow-wrap: break-word; }
h2 { font-size: 1.1rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; }
dt { opacity: .75; }
dd { margin: 0; overflow-wrap: anywhere; }
iframe { width: 100%; height: 46rem; border: 1px solid #8886; border-radius: .5rem; background: #fff; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border: 1px solid #8886; border-radius: .5rem; }
"""


def _list_page(items: list[Json], older: Json | None) -> Response:
    rows = "".join(
        f'<tr><td><time datetime="{mail["receivedAt"]}">{mail["receivedAt"][:19].replace("T", " ")}</time></td>'
        f"<td>{escape(mail['to'])}</td>"
        f'<td><a href="{PREFIX}/{mail["id"]}">{escape(mail["subject"]) or "(no subject)"}</a></td></tr>'
        for mail in items
    )
    head = '<tr><th scope="col">Received (UTC)</th><th scope="col">To</th><th scope="col">Subject</th></tr>'
    content = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if items else "<p>No mail yet.</p>"
    if older is not None:
        content += f'<p><a href="{PREFIX}?{escape(urlencode(older))}">Older</a></p>'
    return page(200, "Mailbox", content, _LIST_STYLE)


def _mail_page(mail: Json) -> Response:
    headers = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in mail["headers"].items()
    )
    # Sandboxed: no script runs and nothing is sent on; links open in a window of their own.
    shown = (
        '<iframe title="The mail in HTML" sandbox="allow-popups allow-popups-to-escape-sandbox"'
        f' srcdoc="{escape("<base target=_blank>" + mail["html"])}"></iframe>'
        if mail["html"] is not None
        else ""
    )
    text = f"<h2>In plain text</h2><pre>{escape(mail['text'])}</pre>" if mail["text"] is not None else ""
    content = f'<p><a href="{PREFIX}">All mails</a></p>{shown}{text}<h2>Headers</h2><dl>{headers}</dl>'
    return page(200, escape(mail["subject"]) or "(no subject)", content, _MAIL_STYLE)
