"""Outside issuers (OpenID Connect, RFC 9068): their keys by URL, and the choice among all whom we trust.

The URL is the operator's, never a token's. What it answers is bounded in size, time and keys; it is
asked when a token names a key that is not in hand, at most every half minute, however many tokens with
invented keys come; and while it does not answer, the keys in hand go on counting.
"""

import asyncio
from collections.abc import Callable, Iterable
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

    def __init__(self, issuer: TrustedIssuer, client: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._issuer = issuer
        self._client = client
        self._now = now
        self._keys: dict[str, Key] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None

    def find(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)

    async def prepare(self, key_id: str) -> None:
        """Fetch the keys where this one is not in hand, and wait for them; where they are old, without waiting."""
        known = key_id in self._keys
        if known and self._fetched_at is not None and self._now() - self._fetched_at < LIFETIME:
            return
        if self._fetching is None:
            if self._tried_at is not None and self._now() - self._tried_at < BETWEEN_FETCHES:
                return
            self._tried_at = self._now()
            self._fetching = asyncio.create_task(self._fetch())
        if not known:
            # Shielded: whoever else waits for the same answer does not lose it with this client.
            await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        """Replace the keys in hand; where that fails they stay, and the log says why."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = _usable(await self._read())
            self._fetched_at = self._now()
        except (httpx.HTTPError, TimeoutError, JwksUnusable) as error:
            cause = str(error) if isinstance(error, JwksUnusable) else type(error).__name__
            logger.warning("issuer_keys_not_fetched", issuer=self._issuer.issuer, cause=cause)
        finally:
            self._fetching = None

    async def _read(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._issuer.jwks_url) as answer:
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
        self, own: JwtVerifier, trusted: Iterable[TrustedIssuer], now: Callable[[], datetime]
    ) -> None:
        self._own = own
        # No redirects: the keys come from where the operator said, or not at all. Not compressed: a few
        # bytes could unfold to any number.
        self._client = httpx.AsyncClient(
            timeout=FETCH_SECONDS, follow_redirects=False, headers={"Accept-Encoding": "identity"}
        )
        self._outside: dict[str, tuple[RemoteKeys, JwtVerifier]] = {}
        for issuer in trusted:
            keys = RemoteKeys(issuer, self._client, now)
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
        await self._client.aclose()


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
