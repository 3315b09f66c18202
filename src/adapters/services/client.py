"""One service's calls to the other over HTTP: signed, within mutual TLS, and answered in the port's own errors.

A call that was not answered is made once more at once, over another connection: every call here does the same
however often it is made.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, cast

import httpx
import msgspec
import structlog

from domain.shared.callers import Caller
from domain.shared.errors import (
    Conflict,
    DomainError,
    FieldFault,
    Forbidden,
    Malformed,
    NotFound,
    Refused,
    Unavailable,
    VersionStale,
)

logger = structlog.stdlib.get_logger(__name__)

CONNECT_SECONDS = 2.0
KEPT_SECONDS = 3.0  # an idle connection; less than the five seconds after which a server of ours ends it
CONNECTIONS = 100

T = TypeVar("T")

_KINDS: Mapping[int, type[DomainError]] = {
    400: Malformed,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: VersionStale,
    422: Refused,
}
_OUR_OWN_FAULT = frozenset(
    {"not_found", "scope_missing", "bad_request", "method_not_allowed", "malformed", "invalid_json"}
)
"""Codes that no use case answers: the other side is another program, or another version, than we take it for."""


class Tls(Protocol):
    @property
    def context(self) -> ssl.SSLContext: ...

    def refresh(self) -> None:
        """Take up certificates that have changed."""
        ...


class ServiceUnavailable(Unavailable):
    """The other service could not be asked; what was asked for may be done all the same, and is asked again."""

    code = "service_unavailable"


class _Fault(msgspec.Struct):
    pointer: str = ""
    message: str = ""


class _Problem(msgspec.Struct, rename="camel"):
    code: str = ""
    detail: str = ""
    errors: list[_Fault] = []
    payment_id: str | None = None


class ServiceClient:
    """Calls the other service at `base_url`. `sign` makes the token of a call for a caller, `headers` what else it
    carries: the trace and the request's id."""

    def __init__(
        self,
        base_url: str,
        tls: Tls,
        sign: Callable[[Caller], str],
        *,
        timeout_seconds: float,
        headers: Callable[[], Mapping[str, str]],
    ) -> None:
        self._tls = tls
        self._sign = sign
        self._headers = headers
        # Not compressed and not redirected: what comes is as long as it says, and from where the operator said.
        self.http = httpx.AsyncClient(
            base_url=base_url,
            verify=tls.context,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=CONNECTIONS,
                max_keepalive_connections=CONNECTIONS,
                keepalive_expiry=KEPT_SECONDS,
            ),
            headers={"Accept-Encoding": "identity"},
        )

    async def call(
        self, method: str, path: str, caller: Caller, answer: type[T], body: msgspec.Struct | None = None
    ) -> T:
        """What it answers. Raises the kind of error that it answers by, with the same code, and Unavailable where
        it does not answer, or not as it should."""
        content = None if body is None else msgspec.json.encode(body)
        response = await self._send(method, path, caller, content)
        if not response.is_success:
            raise _error_of(response)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.MsgspecError as error:
            raise ServiceUnavailable("the answer of the other service could not be read") from error

    async def aclose(self) -> None:
        await self.http.aclose()

    async def _send(self, method: str, path: str, caller: Caller, content: bytes | None) -> httpx.Response:
        self._tls.refresh()
        headers = {**self._headers(), "Authorization": f"Bearer {self._sign(caller)}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        again = True
        while True:
            try:
                return await self.http.request(method, path, content=content, headers=headers)
            except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
                if not again:
                    raise ServiceUnavailable from error
                again = False  # a connection that was kept may have ended just now
            except httpx.TransportError as error:
                raise ServiceUnavailable from error


def _error_of(response: httpx.Response) -> DomainError:
    """The error that the other side answered by; anything that no use case answers is its absence."""
    problem = _problem_of(response)
    seconds = _retry_after(response)
    kind = _KINDS.get(response.status_code)
    if kind is None or not problem.code or problem.code in _OUR_OWN_FAULT:
        return _unavailable(response.status_code, problem, seconds)
    kept = {"code": problem.code, "retry_after_seconds": seconds, "__doc__": kind.__doc__}
    error = cast(type[DomainError], type(kind.__name__, (kind,), kept))()
    error.detail = problem.detail or error.detail
    error.faults = tuple(FieldFault(fault.pointer, fault.message) for fault in problem.errors)
    if isinstance(error, Refused):
        error.payment_id = problem.payment_id
    return error


def _unavailable(status: int, problem: _Problem, seconds: int | None) -> Unavailable:
    if status not in (429, 503):
        logger.error("service_answer_unexpected", status=status, code=problem.code)
    code = problem.code if status == 503 and problem.code else ServiceUnavailable.code
    seconds = seconds or ServiceUnavailable.retry_after_seconds
    kept = {"code": code, "retry_after_seconds": seconds, "__doc__": ServiceUnavailable.__doc__}
    return cast(Unavailable, type(ServiceUnavailable.__name__, (ServiceUnavailable,), kept)())


def _problem_of(response: httpx.Response) -> _Problem:
    try:
        return msgspec.json.decode(response.content, type=_Problem)
    except msgspec.MsgspecError:
        return _Problem()


def _retry_after(response: httpx.Response) -> int | None:
    said = response.headers.get("retry-after", "")
    return int(said) if said.isdecimal() else None
