"""Bearer tokens: JWTs (RFC 7519, RFC 8725) signed with asymmetric keys only."""

import base64
import binascii
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.registry import Header

from adapters.security.keys import KeyFile, KeySource, algorithm_of
from domain.shared.callers import Caller, TokenFault, TokenInvalid

MAX_TOKEN_BYTES = 8192
MAX_SKEW_SECONDS = 30
SERVICE_TOKEN_SECONDS = 60
"""How long a token that one service signs for a call to the other may be valid."""
REMEMBERED_TOKENS = 4096
ACCEPTED_ALGORITHMS = ("EdDSA", "ES256", "RS256")


ACCEPTED_TYPES = ("jwt", "at+jwt")
"""Of the header's `typ`, where there is one: other things that are signed by the same keys, like
order terms or an identity provider's logout tokens, are no access tokens (RFC 8725, section 3.11)."""


class _Algorithms(JWSRegistry):
    """joserfc's registry cut down to our allow-list.

    Its own look-up warns at each use of `EdDSA`, a name that RFC 9864 replaces by `Ed25519` and
    that today's other libraries still expect.
    """

    def __init__(self) -> None:
        super().__init__(algorithms=ACCEPTED_ALGORITHMS, strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ACCEPTED_ALGORITHMS:
            raise TokenInvalid(TokenFault.ALGORITHM)
        return self.algorithms[name]


ALLOWED_ALGORITHMS = _Algorithms()


class _Actor(msgspec.Struct):
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class _Claims(msgspec.Struct):
    """What we read of a token; claims that are of no concern to us may be anything."""

    iss: str
    aud: str | list[str]
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    exp: float
    nbf: float | None = None
    iat: float | None = None
    scope: Any = ""  # as it is said; once it is read, the scopes
    act: _Actor | None = None
    jti: str | None = None
    order_id: str | None = None


class JwtIssuer:
    """Signs tokens with the newest of our keys. `new_token_id` gives each its `jti`."""

    def __init__(
        self,
        keys: KeyFile,
        *,
        issuer: str,
        audience: str,
        now: Callable[[], datetime],
        new_token_id: Callable[[], str],
    ):
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._new_token_id = new_token_id

    def issue(
        self,
        subject: str,
        scopes: Collection[str],
        expires: datetime,
        *,
        order_id: str | None = None,
        actor: str | None = None,
    ) -> str:
        issued = int(self._now().timestamp())
        claims: dict[str, str | int | dict[str, str]] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "iat": issued,
            "nbf": issued,
            "exp": int(expires.timestamp()),
            "jti": self._new_token_id(),
        }
        if order_id is not None:
            claims["order_id"] = order_id
        if actor is not None:
            claims["act"] = {"sub": actor}
        key = self._keys.signing_key
        header: Header = {"alg": algorithm_of(key), "kid": key.kid}
        return jwt.encode(header, claims, key, registry=ALLOWED_ALGORITHMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProfile:
    """Whose tokens are accepted, for whom, and what is taken from them."""

    issuer: str
    audience: str
    scope_claim: str = "scope"
    scopes: frozenset[str] | None = None
    """What the issuer may give at most; None: whatever it says."""
    never: frozenset[str] = frozenset()
    """What it may not give at all."""
    subject_prefix: str = ""
    is_service: bool = False
    """Whether they are a service's own: for 60 s at most, of one call each (`jti`), and speaking for the service
    itself or, with it as `act.sub`, for a person (RFC 8693)."""


class JwsVerifier:
    """Accepts compact JWS of these types, signed by a key of `sources`."""

    def __init__(self, sources: Sequence[KeySource], types: Collection[str]) -> None:
        self._sources = sources
        self._types = types

    def find(self, key_id: str) -> Key | None:
        return next((key for source in self._sources if (key := source.find(key_id))), None)

    def payload(self, token: str) -> tuple[Key, bytes]:
        """What was signed, and the key. Raises TokenInvalid."""
        try:
            parts = jws.extract_compact(token.encode("ascii"), registry=ALLOWED_ALGORITHMS)
            header: object = parts.headers()
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # Besides its own errors, joserfc lets through those of a header that is no JSON object,
            # or one that is nested without end.
            raise TokenInvalid(TokenFault.MALFORMED) from error
        if not isinstance(header, dict):
            raise TokenInvalid(TokenFault.MALFORMED)
        key = self._key(header)
        try:
            valid = jws.validate_compact(parts, key, registry=ALLOWED_ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise TokenInvalid(TokenFault.SIGNATURE) from error
        if not valid or parts.payload is None:
            raise TokenInvalid(TokenFault.SIGNATURE)
        return key, parts.payload

    def _key(self, header: Header) -> Key:
        """The key that the header's `kid` names. What else a header offers (`jwk`, `x5u`) counts nothing."""
        if header.get("alg") not in ACCEPTED_ALGORITHMS:
            raise TokenInvalid(TokenFault.ALGORITHM)
        type = header.get("typ", "JWT")
        if not isinstance(type, str) or type.lower().removeprefix("application/") not in self._types:
            raise TokenInvalid(TokenFault.TYPE)
        if "crit" in header:  # we understand no extension, so RFC 7515 wants a refusal
            raise TokenInvalid(TokenFault.MALFORMED)
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise TokenInvalid(TokenFault.UNKNOWN_KEY)
        key = self.find(key_id)
        if key is None:
            raise TokenInvalid(TokenFault.UNKNOWN_KEY)
        if algorithm_of(key) != header["alg"]:
            raise TokenInvalid(TokenFault.ALGORITHM)
        return key


class JwtVerifier:
    """Accepts tokens of one issuer for one audience, signed by a key of `sources`."""

    def __init__(
        self, sources: Sequence[KeySource], profile: TokenProfile, *, now: Callable[[], datetime]
    ) -> None:
        self._signatures = JwsVerifier(sources, ACCEPTED_TYPES)
        self._profile = profile
        self._now = now
        self._verified: dict[bytes, tuple[Key, _Claims]] = {}

    def verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenInvalid(TokenFault.OVERSIZED)
        claims = self._claims_of(token)
        self._check(claims)
        return Caller(
            subject=self._profile.subject_prefix + claims.sub,
            scopes=claims.scope,
            actor=claims.act.sub if claims.act else None,
            token_id=claims.jti,
            order_id=claims.order_id,
            expires_at=claims.exp,
            issuer=claims.iss,
        )

    def _claims_of(self, token: str) -> _Claims:
        """The claims of a token whose signature is right.

        A signature is looked at once: it stays right as long as its key is one of ours. What changes with
        time is checked at each use. Kept under a hash, so that no token stays in memory.
        """
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        key, claims = self._verified.get(digest, (None, None))
        if key is None or claims is None or self._signatures.find(str(key.kid)) is not key:
            key, payload = self._signatures.payload(token)
            claims = _decoded(payload)
            claims.scope = self._scopes(claims, payload)
            if len(self._verified) >= REMEMBERED_TOKENS:
                self._verified.pop(next(iter(self._verified)))  # the one that was first
            self._verified[digest] = key, claims
        return claims

    def _check(self, claims: _Claims) -> None:
        now = self._now().timestamp()
        if claims.exp <= now - MAX_SKEW_SECONDS:
            raise TokenInvalid(TokenFault.EXPIRED)
        if max(claims.nbf or 0, claims.iat or 0) > now + MAX_SKEW_SECONDS:
            raise TokenInvalid(TokenFault.NOT_YET_VALID)
        if claims.iss != self._profile.issuer:
            raise TokenInvalid(TokenFault.ISSUER)
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if self._profile.audience not in audiences:
            raise TokenInvalid(TokenFault.AUDIENCE)
        if self._profile.is_service:
            _check_service(claims)

    def _scopes(self, claims: _Claims, payload: bytes) -> frozenset[str]:
        """A text with blanks between (RFC 8693, section 4.2); in a claim of another name a list will do too."""
        name, allowed = self._profile.scope_claim, self._profile.scopes
        said = claims.scope if name == "scope" else msgspec.json.decode(payload).get(name, "")
        if isinstance(said, str):
            said = said.split()
        elif name == "scope" or not isinstance(said, list) or not all(isinstance(one, str) for one in said):
            raise TokenInvalid(TokenFault.CLAIMS)
        return (frozenset(said) if allowed is None else allowed.intersection(said)) - self._profile.never


def _check_service(claims: _Claims) -> None:
    if claims.iat is None or claims.jti is None:
        raise TokenInvalid(TokenFault.CLAIMS)
    if claims.exp - claims.iat > SERVICE_TOKEN_SECONDS:
        raise TokenInvalid(TokenFault.LIFETIME)
    actor = claims.act.sub if claims.act else None
    if claims.iss != (actor or claims.sub):
        raise TokenInvalid(TokenFault.ACTOR)


def _decoded(payload: bytes) -> _Claims:
    try:
        return msgspec.json.decode(payload, type=_Claims)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise TokenInvalid(TokenFault.CLAIMS) from error


class Unverified(msgspec.Struct, frozen=True):
    """What a token says of itself before anything of it is proven."""

    issuer: str | None = msgspec.field(default=None, name="iss")
    key_id: str | None = msgspec.field(default=None, name="kid")


def unverified(token: str) -> Unverified:
    """Whose token it claims to be, and by which key: to find who is to verify it, and for nothing else."""
    header, _, rest = token[: MAX_TOKEN_BYTES + 1].partition(".")
    try:
        said = [
            msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=Unverified)
            for part in (header, rest.partition(".")[0])
        ]
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        return Unverified()  # whoever verifies it finds out what is wrong
    return Unverified(issuer=said[1].issuer, key_id=said[0].key_id)
