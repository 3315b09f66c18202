"""Rate limits of callers and addresses: 429 `rate_limited` with `Retry-After` and the RateLimit headers.

The headers are those of https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (structured
fields, RFC 9651): `RateLimit-Policy: "writes";q=12000;w=60` and `RateLimit: "writes";r=11999`.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from adapters.rate_limits.limiter import WINDOW_SECONDS, Policy, RateLimiter, Verdict
from domain.shared.callers import Caller
from entrypoints.http.addresses import ClientAddresses
from entrypoints.http.container import container_of
from entrypoints.http.problems import Problem, send_problem
from entrypoints.settings import Settings

# Asked by what keeps the system running, from inside; a probe that is refused would end a sound process.
UNLIMITED = frozenset({"/livez", "/readyz", "/metrics"})
WEBHOOKS = "/v1/webhooks/"
SERVICE_FACTOR = 10
"""A caller with `users:any` speaks for many users, and has so many times one user's quota."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ADDRESS, _VERDICT = "client_address", "rate_limit"  # in the request's state


class Limits:
    """The policies of these settings, and who is asked about them."""

    def __init__(self, settings: Settings, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._address = Policy("address", settings.rate_limit_address)
        self._webhooks = Policy("webhooks", settings.rate_limit_webhooks)
        self._failures = Policy("failures", settings.rate_limit_failures)
        reads, writes = settings.rate_limit_reads, settings.rate_limit_writes
        self._of_users = (Policy("reads", reads), Policy("writes", writes))
        self._of_services = (
            Policy("reads", reads * SERVICE_FACTOR),
            Policy("writes", writes * SERVICE_FACTOR),
        )

    async def admit_address(self, scope: Scope) -> None:
        """Raises Problem 429 where too much comes from this address."""
        address = self._addresses.of(scope)
        _state(scope)[_ADDRESS] = address
        policy = self._webhooks if scope["path"].startswith(WEBHOOKS) else self._address
        _require(await self._limiter.admit(policy, address))

    async def admit_caller(self, scope: Scope, caller: Caller) -> None:
        """Raises Problem 429 where this caller asks too much. The answer will say what is left to them."""
        policies = self._of_services if "users:any" in caller.scopes else self._of_users
        policy = policies[scope.get("method") not in _READING]
        verdict = await self._limiter.admit(policy, caller.subject)
        _require(verdict)
        _state(scope)[_VERDICT] = verdict

    async def admit_failure(self, scope: Scope) -> None:
        """Count a token or signature that is refused. Raises Problem 429 after too many of this address.

        Only the refused are told so: whoever shares an address with a guesser (behind a proxy, or a carrier's
        NAT) is served as before, or a guesser could shut them out.
        """
        _require(await self._limiter.admit(self._failures, _state(scope).get(_ADDRESS, "")))


class AddressLimits:
    """Around the routing: refuses an address before anything is parsed or looked up for it."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return

        async def send_with_quota(message: Message) -> None:
            if message["type"] == "http.response.start":
                verdict = _state(scope).get(_VERDICT)
                if verdict is not None and verdict.policy.quota:
                    start: HTTPResponseStartEvent = message
                    start["headers"] = [
                        *start["headers"],
                        *(
                            (name.lower().encode(), value.encode())
                            for name, value in _headers(verdict).items()
                        ),
                    ]
            await send(message)

        try:
            await self._limits.admit_address(scope)
        except Problem as problem:
            await send_problem(problem, send)
            return
        await self._app(scope, receive, send_with_quota)


def limits_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Limits:
    limits: Limits = connection.app.state["limits"]
    return limits


def add_limits(app: Any) -> Limits:
    """Make what guards, webhooks and `AddressLimits` ask."""
    container = container_of(app)
    limits = app.state["limits"] = Limits(container.settings, container.rate_limiter)
    return limits


def _state(scope: Scope) -> dict[str, Any]:
    state: dict[str, Any] = scope.setdefault("state", {})
    return state


def _headers(verdict: Verdict) -> dict[str, str]:
    policy = verdict.policy
    waiting = f";t={verdict.wait_seconds}" if verdict.wait_seconds else ""
    return {
        "RateLimit-Policy": f'"{policy.name}";q={policy.quota};w={WINDOW_SECONDS}',
        "RateLimit": f'"{policy.name}";r={verdict.remaining}{waiting}',
    }


def _require(verdict: Verdict) -> None:
    if not verdict.allowed:
        raise Problem(
            429,
            "rate_limited",
            f"There were too many requests within a minute; more are let through in {verdict.wait_seconds} s.",
            headers={"Retry-After": str(verdict.wait_seconds), **_headers(verdict)},
        )
