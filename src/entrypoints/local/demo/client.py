"""A client of the API as a careful shop would write it: it repeats, with the same key, until it knows."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]

RETRY_SECONDS = 0.2
PATIENCE_SECONDS = 120.0
# Nothing was begun, or the same key is still at work: the same request may be sent again.
_TRY_AGAIN = frozenset({429, 502, 503, 504})


class Unexpected(Exception):
    """The system answered what it should not have; the message says what and to which call."""


@dataclass(frozen=True)
class Api:
    """The API in the name of one token."""

    client: httpx.AsyncClient
    url: str
    token: str

    async def get(self, path: str, **query: str) -> Json:
        """The answer to a GET. Raises Unexpected."""
        return await self._send("GET", path, None, {}, query)

    async def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """The answer to a POST that is done once, however often it has to be sent. Raises Unexpected."""
        headers = {"Idempotency-Key": f"demo-{secrets.token_hex(16)}"}
        return await self._send("POST", path, body, headers, {})

    async def put(self, path: str, body: Mapping[str, Any]) -> Json:
        """The answer to a PUT. Raises Unexpected."""
        return await self._send("PUT", path, body, {}, {})

    async def refused(self, path: str, body: Mapping[str, Any], code: str) -> Json:
        """The problem that answers a POST, which must be this one. Raises Unexpected."""
        headers = {"Idempotency-Key": f"demo-{secrets.token_hex(16)}"}
        response = await self._answer("POST", path, body, headers, {})
        problem: Json = response.json()
        if problem.get("code") != code:
            raise Unexpected(f"POST {path}: {response.status_code} {response.text}, not {code}")
        return problem

    async def items(self, path: str, cursor: str = "cursor", **query: str) -> AsyncIterator[Json]:
        """All items of a list, page by page; `cursor` is the parameter that goes on from a page."""
        while True:
            page = await self.get(path, **query)
            for item in page["items"]:
                yield item
            if not page["items"] or page["nextCursor"] is None:
                return
            query[cursor] = page["nextCursor"]

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
    ) -> Json:
        response = await self._answer(method, path, body, headers, query)
        if not response.is_success:
            raise Unexpected(f"{method} {path}: {response.status_code} {response.text}")
        answer: Json = response.json()
        return answer

    async def _answer(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        request = self.client.build_request(method, self.url + path, json=body, headers=headers, params=query)
        return await send_patiently(self.client, request)


async def send_patiently(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send until there is an answer, through restarts of the other side. Raises Unexpected."""
    last = "no answer"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    response = await client.send(request)
                except httpx.TransportError as error:
                    last = type(error).__name__
                else:
                    if not _is_temporary(response):
                        return response
                    last = f"{response.status_code} {response.text}"
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise Unexpected(
            f"{request.method} {request.url.path}: still {last} after {PATIENCE_SECONDS:g} s"
        ) from None


def _is_temporary(response: httpx.Response) -> bool:
    # A 409 with Retry-After: our own earlier copy of this request is still being worked on.
    return response.status_code in _TRY_AGAIN or (
        response.status_code == 409 and "Retry-After" in response.headers
    )
