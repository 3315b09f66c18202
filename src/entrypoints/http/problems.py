"""Everything that is not a result is answered as a problem (RFC 9457), with a stable `code`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Send

from domain.shared.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Malformed,
    NotFound,
    Refused,
    Unavailable,
    VersionStale,
)
from domain.shared.idempotency import Answer
from entrypoints.http.answers import PROBLEM

logger = structlog.stdlib.get_logger(__name__)


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request."""

    pointer: str
    """Where: a JSON pointer (RFC 6901) into the body, or `?name` for a query parameter; for stock, into the order."""
    message: str


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem."""

    type: str = "about:blank"
    """Always `about:blank`: `code` tells the problems apart, and `title` is the status's own."""
    title: str
    status: int
    detail: str
    code: str
    """For programs; stable."""
    errors: Sequence[Fault] | msgspec.UnsetType = msgspec.UNSET
    """All faults found in a request, or all that stands in its way."""
    payment_id: str | msgspec.UnsetType = msgspec.field(name="paymentId", default=msgspec.UNSET)
    """The payment that an earlier step of the same call has made, and that stands."""


class Problem(Exception):
    """An answer that is not a result. `detail` is for people and repeats nothing confidential."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        payment_id: str | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.payment_id = payment_id

    def answer(self) -> Answer:
        body = ProblemBody(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            errors=self.errors or msgspec.UNSET,
            payment_id=self.payment_id or msgspec.UNSET,
        )
        return Answer(self.status, msgspec.json.encode(body), tuple(self.headers.items()))


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with it from outside of Litestar's routing."""
    answer = problem.answer()
    headers = {
        "Content-Type": PROBLEM,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        **dict(answer.headers),
    }
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


_STATUS_BY_CLASS: dict[type[DomainError], int] = {
    NotFound: 404,
    Malformed: 400,
    Conflict: 409,
    VersionStale: 412,
    Refused: 422,
    Forbidden: 403,
    Unavailable: 503,
}

# What the framework itself refuses, before any of our code runs.
_CODE_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "media_type_unsupported",
}


def problem_of_domain(error: DomainError) -> Problem:
    """The problem that a use case's error is answered with."""
    status = next(status for kind, status in _STATUS_BY_CLASS.items() if isinstance(error, kind))
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, VersionStale) and error.version is not None:
        headers["ETag"] = f'"{error.version}"'
    faults = [Fault(fault.pointer, fault.message) for fault in error.faults]
    payment_id = error.payment_id if isinstance(error, Refused) else None
    return Problem(status, error.code, error.detail, errors=faults, headers=headers, payment_id=payment_id)


def problem_of(error: Exception) -> Problem:
    """The problem that any exception is answered with; nothing of an unforeseen one is told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DomainError):
        return problem_of_domain(error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        status = error.status_code
        code = _CODE_BY_STATUS.get(status, "bad_request")
        return Problem(status, code, HTTPStatus(status).description or code, headers=error.headers)
    return Problem(500, "internal_error", "Something went wrong on our side.")


def noted_problem_of(error: Exception) -> Problem:
    """The same, with its cause in the log where that is on our side."""
    problem = problem_of(error)
    if problem.status == 500:
        logger.error("request failed", exc_info=error)
    elif problem.status == 503:
        logger.warning("request put off", code=problem.code, cause=_cause(error))
    return problem


def answer_exception(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's handler of every exception."""
    problem = noted_problem_of(error)
    answer = problem.answer()
    return Response(answer.body, status_code=answer.status, headers=dict(answer.headers), media_type=PROBLEM)


def _cause(error: BaseException) -> str:
    """The classes of an error and what led to it: texts could hold addresses or values."""
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < 5:
        names.append(type(current).__name__)
        current = current.__cause__ or current.__context__
    return " < ".join(names)
