"""`Idempotency-Key` around a mutating call: the first answer again, however often it is sent."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.response.base import ASGIResponse

from domain.shared.callers import Caller
from domain.shared.errors import DomainError
from domain.shared.idempotency import (
    Answer,
    Begun,
    IdempotencyStore,
    InFlight,
    KeyOwner,
    OtherRequest,
    Replay,
)
from entrypoints.http.answers import respond
from entrypoints.http.bodies import Body, card_data_forbidden
from entrypoints.http.card_data import contains_card_number
from entrypoints.http.container import container_of
from entrypoints.http.problems import Problem, problem_of_domain

Run = Callable[[str], Awaitable[Answer]]
"""A use case under a request id: the same id at every repetition of one request."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ESCAPED = re.compile(r'\\(["\\])')

# Not kept: another token may be allowed what this one is not, and what failed on our side, or is
# busy, may fare better at the next try.
_NOT_FINAL = frozenset({401, 403, 429})


async def idempotent(
    request: Request[Caller, Any, Any],
    store: IdempotencyStore,
    body: Body[Any],
    run: Run,
    *,
    key_required: bool,
) -> ASGIResponse:
    """Run a mutating call at most once per key and answer it.

    Raises Problem: 400 for a missing or malformed key, 409 while the same request is running,
    422 where the key was used for another request; and whatever `run` raises.
    """
    key = read_key(request)
    request_id = new_request_id(request)
    if key is None:
        if key_required:
            raise Problem(400, "idempotency_key_missing", "This call needs the header Idempotency-Key.")
        return respond(await run(request_id))
    answer, replayed = await answer_once(request, store, key, request_id, body.canonical, run)
    return respond(answer, replayed=replayed)


async def answer_once(
    request: Request[Caller, Any, Any],
    store: IdempotencyStore,
    key: str,
    request_id: str,
    canonical: bytes,
    run: Run,
) -> tuple[Answer, bool]:
    """The answer of this request under this key, and whether it was given before.

    Raises Problem: 409 while the same request is running, 422 where the key was used for another request.
    """
    owner = KeyOwner(request.user.subject, request.user.actor)
    fingerprint = fingerprint_of(request.method, request.url.path, canonical)
    beginning = await store.begin(owner, key, fingerprint, request_id)
    match beginning:
        case Replay(answer):
            return answer, True
        case InFlight(seconds):
            raise Problem(
                409,
                "request_in_flight",
                "The same request is still being worked on.",
                headers={"Retry-After": str(seconds)},
            )
        case OtherRequest():
            raise Problem(422, "idempotency_key_reused", "The key was used for another request.")
        case Begun():
            return await _run_begun(store, owner, key, beginning, run), False


async def _run_begun(store: IdempotencyStore, owner: KeyOwner, key: str, begun: Begun, run: Run) -> Answer:
    try:
        answer = await _final_answer(begun.request_id, run)
    except BaseException:
        # Where even this fails, the lease ends by itself and the repetition takes over then.
        await store.release(owner, key, begun)
        raise
    return await store.finish(owner, key, begun.request_id, answer)


async def _final_answer(request_id: str, run: Run) -> Answer:
    """The result or the final refusal; raises what must not be kept."""
    try:
        return await run(request_id)
    except DomainError as error:
        problem = problem_of_domain(error)
        if problem.status >= 500 or problem.status in _NOT_FINAL or error.retry_after_seconds is not None:
            raise
        return problem.answer()


def new_request_id(request: Request[Any, Any, Any]) -> str:
    """The id that everything of a request is known by, and that the ids of what it makes are made of."""
    return container_of(request.app).ids.new("req").removeprefix("req_")


def read_key(request: Request[Any, Any, Any]) -> str | None:
    """The key of this request, without the quotes of RFC 8941. Raises Problem 400 where it is malformed."""
    given = request.headers.getall("idempotency-key", [])
    if not given:
        return None
    key = given[0].strip()
    if key.startswith('"'):
        quoted = len(key) >= 2 and key.endswith('"')
        key = _ESCAPED.sub(r"\1", key[1:-1]) if quoted else ""
    if len(given) > 1 or not _KEY.fullmatch(key):
        raise Problem(
            400, "idempotency_key_malformed", "The Idempotency-Key must be 1 to 255 visible ASCII characters."
        )
    if contains_card_number(key):
        raise card_data_forbidden()
    return key


def fingerprint_of(method: str, path: str, canonical_body: bytes) -> bytes:
    """SHA-256 over what makes a request the same one."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), canonical_body))).digest()
