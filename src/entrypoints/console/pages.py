"""Pages: templates, what every one of them is given, and the headers that it goes out with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get
from litestar.response.base import ASGIResponse
from structlog.contextvars import get_contextvars

from adapters.system.currencies import IsoCurrencies
from domain.shared.callers import Caller
from entrypoints.console.session import HOME, SIGN_IN, SignedOut, end_session, form_token, operator
from entrypoints.http.container import container_of
from entrypoints.http.problems import Problem, noted_problem_of

AnyRequest = Request[Any, Any, Any]

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("Cache-Control", "no-store"),
    # `no-referrer` would make browsers send `Origin: null` with our own forms (Fetch, section 3.1).
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)

DONE: Mapping[str, str] = {
    "signed-out": "You are signed out. The token counts on until it ends.",
    "retried": "It goes on: a worker tries it again within a second.",
    "skipped": "The event is left out, and its stream goes on after it.",
    "replayed": "It was processed again.",
    "resent": "It is sent again now.",
    "acknowledged": "Nobody needs to look at it any more; something new raises it again.",
    "settled": "The finding is settled; the same difference is not raised again, another one is.",
    "approved": "The refund is approved; the page says what the gateway answered.",
    "rejected": "The refund is rejected, and nothing was sent.",
    "refund-retried": "The gateway was asked again; the page says what it answered.",
    "counted": "The stock is counted.",
}
"""What a page says after an action, by the word in its address: no text of an address is ever shown."""

_CURRENCIES = IsoCurrencies()
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class NavEntry:
    """A page that the menu names; shown to whoever may open it, where its service runs."""

    title: str
    path: str
    scopes: Sequence[str] = ()
    service: str = "all"

    def is_for(self, caller: Caller) -> bool:
        return all(not caller.scopes.isdisjoint(scope.split("|")) for scope in self.scopes)


def guarded(*scopes: str) -> dict[str, Any]:
    """The arguments of Litestar's route decorators for a page or an action that wants these scopes."""
    return {"guards": [operator(scopes)], "opt": {"console_scopes": scopes}, "status_code": 200}


def render(
    request: AnyRequest,
    template: str,
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    **values: Any,
) -> ASGIResponse:
    """A page. Templates escape whatever they are given."""
    return ASGIResponse(
        body=_text(request, template, **values),
        status_code=status,
        media_type="text/html",
        headers=[*HEADERS, *headers],
    )


def _text(request: AnyRequest, template: str, **values: Any) -> str:
    caller = request.scope.get("user")
    menu: Sequence[NavEntry] = request.app.state["console_menu"]
    return _ENVIRONMENT.get_template(template).render(
        caller=caller,
        menu=[entry for entry in menu if caller is not None and entry.is_for(caller)],
        here=request.url.path,
        form_token=form_token(request),
        new_key=lambda: container_of(request.app).ids.new("key").removeprefix("key_"),
        done=DONE.get(request.query_params.get("done", "")),
        request_id=get_contextvars().get("request_id"),
        scopes=caller.scopes if caller is not None else frozenset(),
        **values,
    )


def answer_exception(request: AnyRequest, error: Exception) -> Response[str]:
    """What is no result, as a page; who is signed out is led to sign in, and then back."""
    if isinstance(error, SignedOut):
        return _to_sign_in(request, error)
    problem = noted_problem_of(error)
    kept = {name: value for name, value in problem.headers.items() if name.lower() == "retry-after"}
    title = HTTPStatus(problem.status).phrase
    return Response(
        _text(request, "problem.html", problem=problem, title=title),
        status_code=problem.status,
        headers={**dict(HEADERS), **kept},
        media_type="text/html",
    )


def _to_sign_in(request: AnyRequest, error: SignedOut) -> Response[str]:
    back = request.url.path if request.method == "GET" else HOME
    if request.method == "GET" and request.scope["query_string"]:
        back += "?" + request.scope["query_string"].decode("latin-1")
    headers = {"Location": f"{SIGN_IN}?next={quote(back, safe='/')}", "Cache-Control": "no-store"}
    if error.ended:
        headers.update([end_session(request)])
    return Response("", status_code=303, headers=headers, media_type="text/html")


# What templates can do


def _money(amount: int | None, currency: str) -> str:
    if amount is None:
        return "–"
    known = _CURRENCIES.find(currency)
    return known.format(amount) if known else f"{amount} {currency}"


def _utc(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC") if time else "–"


def _seconds(seconds: float | None) -> str:
    """A time span for people: `42 s`, `3 min`, `5 h`, `2 d`."""
    if seconds is None:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _masked_email(email: str | None) -> str:
    """Enough to recognise an address that one knows, and no more: `a…@e….org`."""
    if not email:
        return "–"
    name, _, host = email.rpartition("@")
    domain, dot, last = host.rpartition(".")
    return f"{name[:1]}…@{domain[:1]}…{dot}{last if domain else ''}"


def _host(url: str) -> str:
    """Where an address leads; its path and query may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}/…"


def _words(name: str) -> str:
    """A name of the API for people: `PENDING_APPROVAL` as `pending approval`."""
    return name.replace("_", " ").lower()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        money=_money, utc=_utc, seconds=_seconds, masked_email=_masked_email, host=_host, words=_words
    )
    environment.globals["asset"] = lambda name: f"{HOME}/static/{name}?v={_ASSETS[name][2]}"
    return environment


# Our one style sheet, script and icon

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ASSETS: Mapping[str, tuple[bytes, str, str]] = {
    path.name: (path.read_bytes(), _TYPES[path.suffix], sha256(path.read_bytes()).hexdigest()[:12])
    for path in sorted((_HERE / "static").iterdir())
    if path.suffix in _TYPES
}
_ENVIRONMENT = _environment()


@get("/console/static/{name:str}")
async def static(request: AnyRequest) -> ASGIResponse:
    asset = _ASSETS.get(request.path_params["name"])
    if asset is None:
        raise Problem(404, "not_found", "There is nothing of that name.")
    body, media_type, _ = asset
    # Its address changes with its content.
    kept = ("Cache-Control", "public, max-age=31536000, immutable")
    return ASGIResponse(
        body=body, media_type=media_type, headers=[kept, ("Cross-Origin-Resource-Policy", "same-origin")]
    )
