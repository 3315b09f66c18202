"""Outside issuers (OpenID Connect, RFC 9068): their keys by URL, and the choice among all whom we trust.

The URL is the operator's, never a token's. What it answers is bounded in size, time and keys; it is
asked when a token names a key that is not in hand, at most every half minute, however many tokens with
invented keys come; and while it does not answer, the keys in hand go on counting.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import httpx
import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from adapters.security.keys import algorithm_of
from adapters.security.tokens import JwtVerifier, TokenProfile, unverified
from domain.shared.callers import Caller

logger = structlog.stdlib.get_logger(__name__)

FETCH_SECONDS = 3.0  # from the connection to the last byte
MAX_JWKS_BYTES = 64 * 1024
MAX_KEYS = 50
LIFETIME = timedelta(hours=1)  # after that they are fetched anew beside the requests
BETWEEN_FETCHES = timedelta(seconds=30)
BETWEEN_FETCHES_OF_SERVICES = timedelta(seconds=1)
"""Only holders of a certificate of ours can make us ask a service for its keys."""

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody else whose access tokens we accept."""

    issuer: NonEmpty
    """Their `iss`, exactly."""
    audience: NonEmpty
    """The `aud` that says that a token is for us."""
    jwks_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/@]+(/[^\s]*)?\Z")]
    """Where their keys are published; https, unless `allow_http`."""
    allow_http: bool = False
    """For an issuer within the same trusted network."""
    scope_claim: NonEmpty = "scope"
    """The claim that holds our scopes: a text with blanks between; of another name (`scp`) a list will do too."""
    scopes: frozenset[str] | None = None
    """What they may give at most; default: whatever they say."""
    subject_prefix: str = ""
    """Put before their `sub`, where it could be the same as one of ours."""


class JwksUnusable(Exception):
    """What the URL answers is no key set that we take; the message says why."""


class RemoteKeys:
    """The keys at a URL. `find` looks at those in hand; `prepare` sees to it that the right ones are."""

    def __init__(
        self,
        issuer: str,
        url: str,
        client: httpx.AsyncClient,
        now: Callable[[], datetime],
        *,
        is_service: bool = False,
    ) -> None:
        """`client` follows no redirects. The keys of a service may be asked for every second: a token by a key that it
        has just made waits for them in place of being refused."""
        self._issuer = issuer
        self._url = url
        self._client = client
        self._now = now
        self._is_service = is_service
        self._keys: dict[str, Key] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None

    @property
    def are_there(self) -> bool:
        """Whether any are in hand."""
        return bool(self._keys)

    def find(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)

    async def prepare(self, key_id: str) -> None:
        """Fetch the keys where this one is not in hand, and wait for them; where they are old, without waiting."""
        if key_id in self._keys:
            if self._fetched_at is None or self._now() - self._fetched_at >= LIFETIME:
                self._begin(may_wait=False)
            return
        # Twice for a service: what was under way already may be older than its key.
        for _ in range(1 + self._is_service):
            fetching = self._begin(may_wait=self._is_service)
            if fetching is None:
                return
            # Shielded: whoever else waits for the same answer does not lose it with this client.
            await asyncio.shield(fetching)
            if key_id in self._keys:
                return

    def _begin(self, *, may_wait: bool) -> "asyncio.Task[None] | None":
        """The fetch that is under way, or a new one; None where the last one was just now."""
        if self._fetching is None:
            pause, between = timedelta(), BETWEEN_FETCHES_OF_SERVICES if self._is_service else BETWEEN_FETCHES
            if self._tried_at is not None:
                pause = min(max(between - (self._now() - self._tried_at), pause), between)
            if pause and not may_wait:
                return None
            self._tried_at = self._now() + pause
            self._fetching = asyncio.create_task(self._fetch(pause))
        return self._fetching

    async def _fetch(self, pause: timedelta) -> None:
        """Replace the keys in hand, after the pause; where that fails they stay, and the log says why."""
        try:
            if pause:
                await asyncio.sleep(pause.total_seconds())
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = _usable(await self._read())
            self._fetched_at = self._now()
        except (httpx.HTTPError, TimeoutError, JwksUnusable) as error:
            cause = str(error) if isinstance(error, JwksUnusable) else type(error).__name__
            logger.warning("issuer_keys_not_fetched", issuer=self._issuer, cause=cause)
        finally:
            self._fetching = None

    async def _read(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._url) as answer:
            if answer.status_code != 200:
                raise JwksUnusable(f"the answer was {answer.status_code}")
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > MAX_JWKS_BYTES:
                    raise JwksUnusable(f"the answer has more than {MAX_JWKS_BYTES} bytes")
        return bytes(body)


class IssuedTokens:
    """Verifies our own tokens, and those of the issuers that we trust, each by their own keys alone."""

    def __init__(
        self, own: JwtVerifier, trusted: Sequence[TrustedIssuer], now: Callable[[], datetime]
    ) -> None:
        self._own = own
        self._outside: dict[str, tuple[RemoteKeys, JwtVerifier]] = {}
        # Made where there is somebody to ask: it reads every certificate that this machine trusts.
        self._client = _client() if trusted else None
        for issuer in trusted:
            assert self._client is not None
            keys = RemoteKeys(issuer.issuer, issuer.jwks_url, self._client, now)
            profile = TokenProfile(
                issuer=issuer.issuer,
                audience=issuer.audience,
                scope_claim=issuer.scope_claim,
                scopes=issuer.scopes,
                subject_prefix=issuer.subject_prefix,
            )
            self._outside[issuer.issuer] = keys, JwtVerifier([keys], profile, now=now)

    async def verify(self, token: str) -> Caller:
        """As `TokenVerifier` says. A token's issuer is read before it is proven, to choose who is to prove it."""
        if self._outside:
            said = unverified(token)
            if said.issuer in self._outside:
                keys, verifier = self._outside[said.issuer]
                if said.key_id is not None:
                    await keys.prepare(said.key_id)
                return verifier.verify(token)
        return self._own.verify(token)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def _client() -> httpx.AsyncClient:
    # No redirects: the keys come from where the operator said, or not at all. Not compressed: a few
    # bytes could unfold to any number.
    return httpx.AsyncClient(
        timeout=FETCH_SECONDS, follow_redirects=False, headers={"Accept-Encoding": "identity"}
    )


class ServiceTokens:
    """Verifies the tokens that the other service signs for its calls; `profile` says what they may be."""

    def __init__(self, profile: TokenProfile, keys: RemoteKeys, now: Callable[[], datetime]) -> None:
        self.issuer = profile.issuer
        self._keys = keys
        self._verifier = JwtVerifier([keys], profile, now=now)

    async def verify(self, token: str) -> Caller:
        said = unverified(token)
        if said.key_id is not None:
            await self._keys.prepare(said.key_id)
        return self._verifier.verify(token)


class InternalTokens:
    """What the internal listener accepts: the other service's tokens, and whatever the first listener does."""

    def __init__(self, services: Sequence[ServiceTokens], others: IssuedTokens) -> None:
        self._services = {service.issuer: service for service in services}
        self._others = others

    async def verify(self, token: str) -> Caller:
        """As `TokenVerifier` says."""
        service = self._services.get(unverified(token).issuer or "") if self._services else None
        return await (service or self._others).verify(token)


def _usable(text: bytes) -> dict[str, Key]:
    """The keys of a set that we can verify with; others are left out, as RFC 7517 (section 5) has it."""
    try:
        value: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise JwksUnusable("the answer is not JSON") from None
    entries = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise JwksUnusable("the answer is not a JWK set")
    if len(entries) > MAX_KEYS:
        raise JwksUnusable(f"the set has more than {MAX_KEYS} keys")
    keys: dict[str, Key] = {}
    for entry in entries:
        try:
            key = JWKRegistry.import_key(entry)
            usable = algorithm_of(key) is not None
        except (JoseError, ValueError, TypeError, AttributeError, KeyError):
            continue
        if usable and isinstance(entry.get("kid"), str):
            keys[entry["kid"]] = key
    if not keys:
        raise JwksUnusable("the set has no key that we can verify with")
    return keys
