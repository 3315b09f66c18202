"""Who is signed in: an operator's bearer token, in a cookie that the console alone is sent and no script can read.

The cookie holds the token itself. It is verified at each request as it is for the API, so that it ends when
the token ends and counts no longer once its key is withdrawn, at every process and without a table of
sessions that could leak, be guessed or outlive it.
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from domain.shared.callers import Caller
from entrypoints.http.authentication import admit, verify
from entrypoints.http.problems import Problem

Connection = ASGIConnection[Any, Caller, Any, Any]

HOME = "/console"
SIGN_IN = "/console/sign-in"
ENTRANCE = "operations:read"
"""Whoever may not read operations has no business here; each page wants its own scopes besides."""

LONGEST_TOKEN = 3800
"""With its name and attributes a cookie may have 4096 bytes (RFC 6265, section 6.1)."""

_LOCAL_PATH = re.compile(r"/console(?:[/?][\x21\x23-\x5b\x5d-\x7e]*)?")
_READING = frozenset({"GET", "HEAD"})


class SignedOut(Exception):
    """Nobody is signed in; `ended` where somebody was, and their token counts no longer."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__("nobody is signed in")
        self.ended = ended


def operator(scopes: Sequence[str]) -> Guard:
    """A guard of pages and actions: lets in operators whose token has these scopes too (`a|b`: either).

    Whatever changes something must besides come from a page of ours: SameSite=Strict keeps the cookie from
    requests that other sites cause, and this holds where a browser does not know it, and between two ports
    of one machine, which are the same site.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        if connection.scope.get("method") not in _READING:
            require_own_origin(connection.headers)
        token = session_token(connection)
        if not token:
            raise SignedOut(ended=False)
        try:
            caller = await verify(connection, token)
        except Problem as problem:
            if problem.status != 401:
                raise
            raise SignedOut(ended=True) from problem
        await admit(connection, caller, (ENTRANCE, *scopes))

    return guard


def require_own_origin(headers: Headers) -> None:
    """Raises Problem 403 unless the browser says that a page of this origin sends this.

    Sec-Fetch-Site, which no script can set, decides where it is there; else the Origin, compared by its host
    alone, since a proxy may have ended TLS (https://words.filippo.io/csrf/ has the reasoning).
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        own = site == "same-origin"
    else:
        host = urlsplit(headers.get("origin", "")).netloc
        own = bool(host) and host == headers.get("host")
    if not own:
        raise Problem(403, "cross_site_refused", "The form was not sent by a page of this console.")


# The cookie


def session_token(connection: Connection) -> str | None:
    return connection.cookies.get(_cookie_name(connection))


def keep_session(connection: Connection, token: str, seconds: int) -> tuple[str, str]:
    """The header that begins a session; `seconds` is how long the token is valid."""
    return _set_cookie(connection, token, seconds)


def end_session(connection: Connection) -> tuple[str, str]:
    """The header that ends it in this browser."""
    return _set_cookie(connection, "", 0)


def _set_cookie(connection: Connection, value: str, seconds: int) -> tuple[str, str]:
    # `__Host-` keeps other hosts of the domain from setting it, and wants `Secure` and the path `/`.
    scope = "Path=/; Secure" if _is_secure(connection) else f"Path={HOME}"
    cookie = (
        f"{_cookie_name(connection)}={value}; {scope}; Max-Age={max(seconds, 0)}; HttpOnly; SameSite=Strict"
    )
    return "Set-Cookie", cookie


def _cookie_name(connection: Connection) -> str:
    return "__Host-payonce" if _is_secure(connection) else "payonce_console"


def _is_secure(connection: Connection) -> bool:
    """Whether the cookie may travel by https alone: everywhere but on this very machine.

    A client can only make it stricter for itself by what it claims here.
    """
    if connection.scope["scheme"] == "https" or connection.headers.get("x-forwarded-proto") == "https":
        return True
    host = urlsplit(f"//{connection.headers.get('host', '')}").hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


# What forms carry


def form_token(connection: Connection) -> str:
    """What a form of this session carries to show that a page of ours made it.

    It is derived from the session's token, which nobody else knows: any process can check it, without a key of
    its own, and it says nothing about the token.
    """
    token = session_token(connection) or ""
    return hmac.new(token.encode(), b"payonce console form", sha256).hexdigest()


def is_form_token(connection: Connection, given: str) -> bool:
    return hmac.compare_digest(form_token(connection).encode(), given.encode())


def local_path(path: str | None) -> str:
    """This page of the console, or its first where the text names none: nobody is led elsewhere."""
    return path if path is not None and _LOCAL_PATH.fullmatch(path) else HOME
