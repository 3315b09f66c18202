"""Bearer tokens (RFC 6750) and their scopes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard
from structlog.contextvars import get_contextvars

from adapters.services.identities import SERVICES
from domain.shared.callers import Caller, TokenFault, TokenInvalid, TokenVerifier
from entrypoints.http.limits import limits_of
from entrypoints.http.problems import Problem

Connection = ASGIConnection[Any, Caller, Any, Any]


def requires(*scopes: str) -> Guard:
    """A guard that lets in callers whose token has all of these scopes.

    `a|b` in place of a scope means that either will do.
    """

    # Asynchronous though nothing is awaited: Litestar sends a plain function through a thread.
    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        await admit(connection, await verify(connection, _bearer_token(connection)), scopes)

    return guard


def requires_service(*scopes: str) -> Guard:
    """A guard that lets in the other service alone, itself or for a person, with all of these scopes."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        caller = await verify(connection, _bearer_token(connection))
        if caller.issuer not in SERVICES:
            raise Problem(403, "service_required", "Only the other service makes this call.")
        await admit(connection, caller, scopes)

    return guard


def verify_by(app: Litestar, verifier: TokenVerifier) -> None:
    """Set who verifies the tokens of this application's callers."""
    app.state["token_verifier"] = verifier


async def admit(connection: Connection, caller: Caller, scopes: Sequence[str]) -> None:
    """Make this caller the request's, within their rate limit. Raises Problem 429, or 403 where a scope is missing."""
    await limits_of(connection).admit_caller(connection.scope, caller)
    for scope in scopes:
        if caller.scopes.isdisjoint(scope.split("|")):
            missing = scope.replace("|", " or ")
            raise Problem(
                403,
                "scope_missing",
                f"The token lacks the scope {missing}.",
                headers={
                    "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(scopes)}"'
                },
            )
    # What the log and the answer call this request goes into the history of what it does.
    connection.scope["user"] = replace(caller, request_id=get_contextvars().get("request_id"))


def _bearer_token(connection: Connection) -> str:
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Problem(
            401,
            "token_missing",
            "This call needs a bearer token.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return token.strip()


async def verify(connection: Connection, token: str) -> Caller:
    """Whom this token speaks for. Raises Problem 401, and 429 after too many bad ones of an address."""
    try:
        verifier: TokenVerifier = connection.app.state["token_verifier"]
        return await verifier.verify(token)
    except TokenInvalid as error:
        await limits_of(connection).admit_failure(connection.scope)
        expired = error.reason is TokenFault.EXPIRED
        raise Problem(
            401,
            "token_expired" if expired else "token_invalid",
            "The bearer token has expired." if expired else f"The bearer token is refused: {error.reason}.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        ) from error
