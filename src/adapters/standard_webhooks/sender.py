"""Sends signed messages over HTTP to addresses that somebody else chose."""

import asyncio
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import aiohttp

from adapters.standard_webhooks.addresses import (
    AddressPolicy,
    AddressRefused,
    JudgingResolver,
    LookUp,
    look_up,
)
from adapters.standard_webhooks.signing import headers_of
from domain.orders.webhooks.delivery import SEND_SECONDS, SendResult
from domain.orders.webhooks.errors import EndpointUrlRefused
from domain.orders.webhooks.ports import Message

KEPT_BYTES = 1024
"""Of an answer's body; no more is read."""
KEPT_ERROR_CHARACTERS = 300

_HEADERS = {
    "Content-Type": "application/cloudevents+json; charset=utf-8",
    "User-Agent": f"Payonce-Webhooks/{version('payonce')}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # what is kept of the answer is for people
}
_SECRETS = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|v1,[A-Za-z0-9+/=]{20,}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_RETRY_AFTER_STATUSES = frozenset({429, 503})


class AiohttpWebhookSender:
    """A connection for each message, so that the address of each is judged. Follows no redirect, keeps no cookie,
    uses no proxy of the environment."""

    def __init__(self, policy: AddressPolicy, *, seconds: float = SEND_SECONDS, look_up: LookUp = look_up):
        self._policy = policy
        self._resolver = JudgingResolver(policy, look_up)
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def check(self, url: str) -> None:
        """Raises EndpointUrlRefused where nothing may be sent there, or nothing can be."""
        try:
            checked = self._policy.check_url(url)
            host, port = checked.host, checked.port
            assert host is not None, "checked"
            async with asyncio.timeout(self._seconds):
                await self._resolver.resolve(host, port or 0)
        except AddressRefused as error:
            raise EndpointUrlRefused(f"Nothing is sent to this address: {error}.", pointer="/url") from error
        except (OSError, UnicodeError, ValueError, TimeoutError) as error:
            raise EndpointUrlRefused("The host of this address does not resolve.", pointer="/url") from error

    async def send(self, message: Message) -> SendResult:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            async with asyncio.timeout(self._seconds):
                status, answer, retry_after = await self._post(message)
        except TimeoutError:
            error = f"no answer within {self._seconds:g} s"
        except AddressRefused as refused:
            error = f"nothing is sent there: {refused}"
        except (aiohttp.ClientError, OSError, ValueError) as failed:
            # ValueError: of a name that cannot be one, and what aiohttp raises for an answer that is no HTTP.
            error = _without_secrets(f"{type(failed).__name__}: {failed}", message.secrets)
        else:
            return SendResult(
                status=status,
                latency_ms=_milliseconds(loop.time() - begin),
                error="a redirect, which is not followed" if 300 <= status < 400 else None,
                answer=_without_secrets(answer.decode("utf-8", "replace"), message.secrets),
                retry_after=_retry_after(status, retry_after, message.sent_at),
            )
        return SendResult(
            status=None, latency_ms=_milliseconds(loop.time() - begin), error=error[:KEPT_ERROR_CHARACTERS]
        )

    async def _post(self, message: Message) -> tuple[int, bytes, str | None]:
        url = self._policy.check_url(message.url)
        signed = headers_of(message.webhook_id, message.sent_at, message.body, message.secrets)
        async with self._opened().post(
            url, data=message.body, headers={**_HEADERS, **signed}, allow_redirects=False
        ) as response:
            answer = b""
            while len(answer) < KEPT_BYTES and (chunk := await response.content.read(KEPT_BYTES)):
                answer += chunk
            return response.status, answer[:KEPT_BYTES], response.headers.get("Retry-After")

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first use, since it belongs to the event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver, use_dns_cache=False, force_close=True, limit=0
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _without_secrets(text: str, secrets: Iterable[str]) -> str:
    """An answer may hold our own message: its signatures, or even the secret."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _CONTROLS.sub(" ", _SECRETS.sub("***", text))


def _retry_after(status: int, given: str | None, now: datetime) -> timedelta | None:
    """RFC 9110, section 10.2.3: seconds or a date. None where it is neither, or asks for nothing."""
    if given is None or status not in _RETRY_AFTER_STATUSES:
        return None
    if given.isdecimal():
        wait = timedelta(seconds=min(int(given[:9]), 10**8))
    else:
        try:
            until = parsedate_to_datetime(given)
        except ValueError:
            return None
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    return wait if wait > timedelta() else None
