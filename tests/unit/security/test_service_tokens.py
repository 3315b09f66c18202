"""What a service's own token must be: short, of one call, and speaking for itself or for a person by name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt

from adapters.security.keys import KeyFile, create_keys
from adapters.security.tokens import ALLOWED_ALGORITHMS, JwtIssuer, JwtVerifier, TokenProfile
from adapters.services.identities import NEVER_OF_ORDERS
from domain.shared.callers import TokenFault, TokenInvalid

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return create_keys(tmp_path / "keys.json")


@pytest.fixture
def verifier(keys: KeyFile) -> JwtVerifier:
    profile = TokenProfile(issuer="orders", audience="payments", never=NEVER_OF_ORDERS, is_service=True)
    return JwtVerifier([keys], profile, now=lambda: NOW)


def token(keys: KeyFile, **changes: Any) -> str:
    claims = {
        "iss": "orders",
        "aud": "payments",
        "sub": "orders",
        "iat": SECONDS,
        "exp": SECONDS + 60,
        "jti": "tok_1",
        "scope": "payments:read users:any",
        **changes,
    }
    key = keys.signing_key
    complete = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "EdDSA", "kid": key.kid}, complete, key, registry=ALLOWED_ALGORITHMS)


def test_a_service_speaks_for_itself_or_for_a_person(keys: KeyFile, verifier: JwtVerifier) -> None:
    itself = verifier.verify(token(keys))
    assert (itself.subject, itself.actor, itself.issuer) == ("orders", None, "orders")
    person = verifier.verify(token(keys, sub="u_agent", act={"sub": "orders"}))
    assert (person.subject, person.actor) == ("u_agent", "orders")


def test_what_we_sign_for_a_call_is_accepted(keys: KeyFile, verifier: JwtVerifier) -> None:
    issuer = JwtIssuer(
        keys, issuer="orders", audience="payments", now=lambda: NOW, new_token_id=lambda: "tok_1"
    )
    signed = issuer.issue("u_agent", {"refunds:create"}, NOW + timedelta(seconds=60), actor="orders")
    assert verifier.verify(signed).actor == "orders"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"exp": SECONDS + 61}, TokenFault.LIFETIME),
        ({"iat": None}, TokenFault.CLAIMS),
        ({"jti": None}, TokenFault.CLAIMS),
        ({"sub": "u_agent"}, TokenFault.ACTOR),
        ({"sub": "u_agent", "act": {"sub": "payments"}}, TokenFault.ACTOR),
        ({"aud": "orders"}, TokenFault.AUDIENCE),
        ({"iss": "payments"}, TokenFault.ISSUER),
        ({"iat": SECONDS - 120, "exp": SECONDS - 60}, TokenFault.EXPIRED),
    ],
)
def test_what_is_refused(
    keys: KeyFile, verifier: JwtVerifier, changes: dict[str, Any], fault: TokenFault
) -> None:
    with pytest.raises(TokenInvalid) as refused:
        verifier.verify(token(keys, **changes))
    assert refused.value.reason is fault


def test_nobody_decides_or_operates_by_way_of_the_order_service(keys: KeyFile, verifier: JwtVerifier) -> None:
    wanted = "refunds:create refunds:approve operations:write users:any events:deliver"
    caller = verifier.verify(token(keys, sub="u_agent", act={"sub": "orders"}, scope=wanted))
    assert caller.scopes == {"refunds:create", "users:any"}
