"""Signing in with a bearer token, and out again."""

from datetime import UTC, datetime

from litestar import get, post
from litestar.response.base import ASGIResponse

from domain.shared.callers import Caller
from entrypoints.console.forms import ConsoleRequest, NoFields, read_fields, read_form
from entrypoints.console.pages import AnyRequest, guarded, render
from entrypoints.console.session import (
    ENTRANCE,
    LONGEST_TOKEN,
    SIGN_IN,
    end_session,
    keep_session,
    local_path,
    require_own_origin,
)
from entrypoints.http.authentication import verify
from entrypoints.http.container import container_of
from entrypoints.http.problems import Problem


@get(SIGN_IN)
async def show_sign_in(request: AnyRequest) -> ASGIResponse:
    return _page(request, local_path(request.query_params.get("next")))


@post(SIGN_IN, status_code=200)
async def sign_in(request: AnyRequest) -> ASGIResponse:
    require_own_origin(request.headers)  # or another site could sign somebody in as itself
    fields = await read_fields(request)
    token, back = fields.get("token", "").strip(), local_path(fields.get("next"))
    if not token:
        return _page(request, back, "Paste a token.")
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return _page(
            request, back, f"A token for the console has at most {LONGEST_TOKEN} characters of ASCII."
        )
    try:
        caller = await verify(request, token)
    except Problem as problem:
        if problem.status != 401:
            raise
        return _page(request, back, problem.detail)
    if ENTRANCE not in caller.scopes:
        return _page(request, back, f"The token lacks the scope {ENTRANCE}.", status=403)
    headers = [
        ("Location", back),
        ("Cache-Control", "no-store"),
        keep_session(request, token, _rest(request, caller)),
    ]
    return ASGIResponse(status_code=303, headers=headers)


@post("/console/sign-out", **guarded())
async def sign_out(request: ConsoleRequest) -> ASGIResponse:
    await read_form(request, NoFields)
    headers = [
        ("Location", f"{SIGN_IN}?done=signed-out"),
        ("Cache-Control", "no-store"),
        end_session(request),
    ]
    return ASGIResponse(status_code=303, headers=headers)


ROUTES = [show_sign_in, sign_in, sign_out]


def _rest(request: AnyRequest, caller: Caller) -> int:
    """For how many seconds the token is valid yet."""
    now = container_of(request.app).clock.now()
    return int((datetime.fromtimestamp(caller.expires_at or 0, UTC) - now).total_seconds())


def _page(request: AnyRequest, back: str, fault: str | None = None, *, status: int = 401) -> ASGIResponse:
    return render(request, "sign_in.html", status=status if fault else 200, back=back, fault=fault)
