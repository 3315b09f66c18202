"""One API request from key to answer: authentication, idempotency as Stripe treats it, faults, the work."""

import asyncio
import re
from hashlib import sha256
from typing import Any

import msgspec

from sandbox.chaos import ChaosMonkey, RequestFaults
from sandbox.errors import ApiError, server_error
from sandbox.expand import expand
from sandbox.forms import decode_form
from sandbox.http import Request, Response
from sandbox.params import check_params
from sandbox.routes import Call, find_call
from sandbox.session import API_VERSION, Session, random_text
from sandbox.store import Store

Json = dict[str, Any]

KEY_LIFETIME_SECONDS = 24 * 3600
HANG_SECONDS = 60
_SECRET_KEY = re.compile(r"sk_test_[A-Za-z0-9_]+\Z")
_MAX_KEY_LENGTH = 255


class Api:
    """Not thread-safe: the work of each request is one transaction, run without yielding."""

    def __init__(self, store: Store, chaos: ChaosMonkey) -> None:
        self._store = store
        self._chaos = chaos
        self._in_flight: set[tuple[str, str]] = set()

    async def answer(self, request: Request) -> Response:
        """The answer, after the delay that chaos asks for.

        With `timeoutAfterSuccess` the work is done and the answer held back for HANG_SECONDS,
        longer than any client waits; then the connection gets a 504.
        """
        request_id = f"req_{random_text(14)}"
        faults = self._chaos.request_faults(writes=request.method != "GET")
        try:
            account = _account(request)
            response = await self._keyed(request, request_id, account, faults)
        except ApiError as refused:
            response = _response(refused.status, refused.body(request_id), request_id)
        return _timed_out(request_id) if faults.hang else response

    async def _keyed(
        self, request: Request, request_id: str, account: str, faults: RequestFaults
    ) -> Response:
        call = find_call(request.method, request.path)
        form = decode_form(request.query if request.method != "POST" else request.body)
        params = check_params(call.route.params_class, form)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None:
            await asyncio.sleep(faults.latency_seconds)
            return self._execute(call, params, request, request_id, account, faults, None)
        if not 1 <= len(key) <= _MAX_KEY_LENGTH:
            raise ApiError(f"Idempotency keys must be 1 to {_MAX_KEY_LENGTH} characters long.")
        flight = (account, key)
        if flight in self._in_flight:
            raise ApiError(
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                status=409,
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        self._in_flight.add(flight)
        try:
            await asyncio.sleep(faults.latency_seconds)
            replay = self._replay(request, account, key, form, request_id)
            return replay or self._execute(
                call, params, request, request_id, account, faults, (key, _fingerprint(form))
            )
        finally:
            self._in_flight.discard(flight)

    def _replay(
        self, request: Request, account: str, key: str, form: Json, request_id: str
    ) -> Response | None:
        """The stored answer of this key, a stored 500 too; None where Stripe has forgotten it."""
        rows = self._store.rows(
            "SELECT path, fingerprint, request_id, status, body FROM idempotency"
            " WHERE account = ? AND key = ? AND created > ?",
            account,
            key,
            self._chaos.clock.now() - KEY_LIFETIME_SECONDS,
        )
        if not rows:
            return None
        path, fingerprint, original_request, status, body = rows[0]
        if path != request.path:
            raise ApiError(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{request.path}' vs '{path}'). Try using a key other than '{key}' if you meant to execute a "
                "different request.",
                type="idempotency_error",
            )
        if fingerprint != _fingerprint(form):
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        headers = {
            **_headers(request_id, key),
            "Idempotent-Replayed": "true",
            "Original-Request": original_request,
        }
        return Response(status, body, headers=headers)

    def _execute(
        self,
        call: Call,
        params: Json,
        request: Request,
        request_id: str,
        account: str,
        faults: RequestFaults,
        key: tuple[str, str] | None,
    ) -> Response:
        """The work and the stored answer in one transaction, as if they could not be parted."""
        session = Session(
            self._store,
            account,
            int(self._chaos.clock.now()),
            self._chaos,
            base_url=request.base_url,
            request_id=request_id,
            idempotency_key=key[0] if key else None,
        )
        if request.method == "GET" and not faults.error_before:
            return self._work(call, session, params)
        with self._store.transaction():
            response = None if faults.error_before else self._work(call, session, params)
            if response is None or faults.error_after:
                error = server_error()
                response = _response(error.status, error.body(request_id), request_id)
            if key is None:
                return response
            self._store.run(
                "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                account,
                key[0],
                request.path,
                key[1],
                self._chaos.clock.now(),
                request_id,
                response.status,
                response.body,
            )
            return Response(response.status, response.body, headers=_headers(request_id, key[0]))

    def _work(self, call: Call, session: Session, params: Json) -> Response:
        """A refused request leaves nothing behind, a declined one its failed attempt."""
        assert session.request_id is not None
        try:
            with self._store.savepoint():
                try:
                    body = expand(session, call.answer(session, params), params.get("expand", []))
                except ApiError as declined:
                    if not declined.saves_work:
                        raise
                    return _response(declined.status, declined.body(session.request_id), session.request_id)
        except ApiError as refused:
            return _response(refused.status, refused.body(session.request_id), session.request_id)
        return _response(200, body, session.request_id)


def _timed_out(request_id: str) -> Response:
    error = ApiError("The request timed out. (The sandbox was asked to.)", status=504, type="api_error")
    body = msgspec.json.encode(error.body(request_id))
    return Response(504, body, headers=_headers(request_id, None), held_back_seconds=HANG_SECONDS)


def _account(request: Request) -> str:
    key = request.secret_key()
    if not key:
        raise ApiError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if not _SECRET_KEY.match(key):
        raise ApiError(f"Invalid API Key provided: {key[:7]}****{key[-4:]}", status=401)
    return key.removeprefix("sk_test_")


def _fingerprint(form: Json) -> str:
    return sha256(msgspec.json.encode(form, order="sorted")).hexdigest()


def _headers(request_id: str, key: str | None) -> dict[str, str]:
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    if key is not None:
        headers["Idempotency-Key"] = key
    return headers


def _response(status: int, body: Json, request_id: str) -> Response:
    return Response(status, msgspec.json.encode(body), headers=_headers(request_id, None))
