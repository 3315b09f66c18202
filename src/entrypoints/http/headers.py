"""What every answer tells browsers: to guess nothing, keep nothing, frame nothing, and who may read it.

Cross-origin reading (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol) is off unless origins are
set; then without credentials, since there are no cookies: a script shows its bearer token by itself.
"""

import base64
from collections.abc import Collection
from hashlib import sha256

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_METHODS = b"GET, POST, PUT, PATCH, DELETE"
_ASKED = b"Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, Traceparent, X-Request-Id"
_TOLD = (
    b"ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, "
    b"WWW-Authenticate, X-Request-Id"
)
_PREFLIGHT_SECONDS = b"600"


def page_policy(style: str) -> str:
    """The Content-Security-Policy of a page that has this one style sheet within it, and else nothing."""
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return f"{NOTHING}; style-src 'sha256-{digest}'"


class BrowserHeaders:
    """Around the routing and the limits. What an answer says by itself stays."""

    def __init__(self, app: ASGIApp, *, hsts_seconds: int, cors_origins: Collection[str]) -> None:
        self._app = app
        self._origins = {origin.encode() for origin in cors_origins}
        self._always = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-security-policy", NOTHING.encode()),
            (b"cache-control", b"no-store"),
        ]
        if hsts_seconds:
            self._always.append((b"strict-transport-security", b"max-age=%d" % hsts_seconds))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        origin = _header(scope, b"origin") if self._origins else None
        allowed = origin is not None and origin in self._origins
        if allowed and scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
            await self._answer_preflight(origin or b"", send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                start: HTTPResponseStartEvent = message
                said = {name.lower() for name, _ in start["headers"]}
                headers = [
                    *start["headers"],
                    *(header for header in self._always if header[0] not in said),
                ]
                if self._origins:
                    headers.append((b"vary", b"Origin"))
                if allowed:
                    headers += [
                        (b"access-control-allow-origin", origin or b""),
                        (b"access-control-expose-headers", _TOLD),
                    ]
                start["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)

    async def _answer_preflight(self, origin: bytes, send: Send) -> None:
        headers: Headers = [
            *self._always,
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ASKED),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for known, value in scope["headers"] if known == name), None)
