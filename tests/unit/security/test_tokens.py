"""Bearer tokens: what is accepted, and each known attack refused with its reason (RFC 8725)."""

import base64
import hashlib
import hmac
import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from adapters.security.keys import KeyFile, SigningAlgorithm, create_keys, read_public_keys, rotate_keys
from adapters.security.tokens import JwtIssuer, JwtVerifier, TokenProfile
from domain.shared.callers import Caller, TokenFault, TokenInvalid

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class ListedKeys:
    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys

    def find(self, key_id: str) -> Key | None:
        return next((key for key in self.keys if key.kid == key_id), None)


class House:
    """An issuer and a verifier over one key file, with a clock that the test sets."""

    def __init__(self, path: Path, algorithm: SigningAlgorithm = "EdDSA"):
        self.now = NOW
        self.keys = create_keys(path, algorithm)
        self.issuer = self.issuer_of(self.keys)
        self.verifier = self.verifier_of(self.keys)

    def issuer_of(self, keys: KeyFile, issuer: str = "payonce", audience: str = "payonce") -> JwtIssuer:
        return JwtIssuer(
            keys, issuer=issuer, audience=audience, now=lambda: self.now, new_token_id=lambda: "tok_1"
        )

    def verifier_of(self, *sources: Any) -> JwtVerifier:
        return JwtVerifier(sources, TokenProfile(issuer="payonce", audience="payonce"), now=lambda: self.now)

    def token(self) -> str:
        return self.issuer.issue("u_1", ["orders:read"], NOW + HOUR)

    def claims(self, **changes: Any) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": "payonce",
            "aud": "payonce",
            "sub": "u_1",
            "exp": int((NOW + HOUR).timestamp()),
            "scope": "orders:read",
        }
        return {key: value for key, value in {**claims, **changes}.items() if value is not ...}

    def sign(self, claims: dict[str, Any], key: Key | None = None, **header: Any) -> str:
        """A token with any header and claims, signed by our own key unless another is given."""
        key = key or self.keys.signing_key
        complete = {"alg": "EdDSA", "kid": self.keys.key_ids[0], **header}
        registry = JWSRegistry(algorithms=[complete["alg"]], strict_check_header=False)
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):
            return jwt.encode(
                {k: v for k, v in complete.items() if v is not ...}, claims, key, registry=registry
            )

    def refusal(self, token: str) -> TokenFault:
        with pytest.raises(TokenInvalid) as refused:
            self.verifier.verify(token)
        assert (token or "…") not in str(refused.value)
        return refused.value.reason


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("keys") / "keys.json")


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_an_issued_token_names_its_caller(tmp_path: Path, algorithm: SigningAlgorithm) -> None:
    house = House(tmp_path / "keys.json", algorithm)
    token = house.issuer.issue("u_1", ["orders:write", "orders:read"], NOW + HOUR, order_id="ord_1")
    assert house.verifier.verify(token) == Caller(
        subject="u_1",
        scopes=frozenset({"orders:read", "orders:write"}),
        token_id="tok_1",
        order_id="ord_1",
    )


def test_the_acting_service_is_kept_apart_from_the_subject(house: House) -> None:
    caller = house.verifier.verify(house.sign(house.claims(act={"sub": "shop"}, aud=["other", "payonce"])))
    assert (caller.subject, caller.actor) == ("u_1", "shop")


def test_an_outside_issuers_rsa_key_is_accepted_once_it_is_configured(house: House) -> None:
    key = RSAKey.generate_key(2048, {"kid": "outside"})
    token = house.sign(house.claims(), key, alg="RS256", kid="outside")
    assert house.refusal(token) is TokenFault.UNKNOWN_KEY
    outside = read_public_keys(json.dumps({"keys": [key.as_dict(private=False)]}))
    assert house.verifier_of(house.keys, outside).verify(token).subject == "u_1"


def test_tokens_of_both_keys_are_valid_after_a_rotation(tmp_path: Path) -> None:
    house = House(tmp_path / "keys.json")
    before = house.token()
    after = house.issuer_of(rotate_keys(house.keys.path)).issue("u_2", [], NOW + HOUR)
    assert house.verifier.verify(before).subject == "u_1"
    assert house.verifier.verify(after).subject == "u_2"


def test_a_token_seen_before_is_looked_at_again(house: House) -> None:
    """What is remembered is that its signature was right, for as long as the key is ours."""
    token = house.token()
    assert house.verifier.verify(token) == house.verifier.verify(token)
    house.now = NOW + 2 * HOUR
    with pytest.raises(TokenInvalid) as refused:
        house.verifier.verify(token)
    assert refused.value.reason is TokenFault.EXPIRED
    house.now = NOW
    assert house.verifier.verify(token).subject == "u_1"

    known: list[Key] = [house.keys.signing_key]
    verifier = house.verifier_of(ListedKeys(known))
    assert verifier.verify(token).subject == "u_1"
    known.clear()
    with pytest.raises(TokenInvalid) as refused:
        verifier.verify(token)
    assert refused.value.reason is TokenFault.UNKNOWN_KEY
    other = create_keys(house.keys.path.with_name("other.json")).signing_key
    known.append(OKPKey.import_key({**other.as_dict(), "kid": str(house.keys.signing_key.kid)}))
    with pytest.raises(TokenInvalid) as refused:
        verifier.verify(token)
    assert refused.value.reason is TokenFault.SIGNATURE


@pytest.mark.parametrize(
    ("offset", "fault"),
    [
        (timedelta(hours=1, seconds=29), None),
        (timedelta(hours=1, seconds=30), TokenFault.EXPIRED),
        (timedelta(seconds=-30), None),
        (timedelta(seconds=-31), TokenFault.NOT_YET_VALID),
    ],
)
def test_clocks_may_differ_by_thirty_seconds(
    tmp_path: Path, offset: timedelta, fault: TokenFault | None
) -> None:
    house = House(tmp_path / "keys.json")
    token = house.token()
    house.now = NOW + offset
    if fault is None:
        assert house.verifier.verify(token).subject == "u_1"
    else:
        assert house.refusal(token) is fault


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
def test_attack_no_signature_at_all(house: House, name: str) -> None:
    header = {"alg": name, "kid": house.keys.key_ids[0]}
    assert house.refusal(f"{encoded(header)}.{encoded(house.claims())}.") is TokenFault.ALGORITHM


def test_attack_hmac_with_the_public_key_as_its_secret(house: House) -> None:
    public = house.keys.signing_key
    assert isinstance(public, OKPKey)
    secrets = [public.as_pem(private=False), json.dumps(house.keys.public_jwks()["keys"][0]).encode()]
    for secret in secrets:
        text = f"{encoded({'alg': 'HS256', 'kid': public.kid})}.{encoded(house.claims())}"
        signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        assert house.refusal(f"{text}.{encoded(signature)}") is TokenFault.ALGORITHM


def test_attack_a_key_of_ours_under_another_algorithm(house: House) -> None:
    other = ECKey.generate_key("P-256")
    token = house.sign(house.claims(), other, alg="ES256")
    assert house.refusal(token) is TokenFault.ALGORITHM


def test_attack_signed_by_a_key_of_the_attackers_under_our_kid(house: House) -> None:
    assert house.refusal(house.sign(house.claims(), OKPKey.generate_key("Ed25519"))) is TokenFault.SIGNATURE


@pytest.mark.parametrize("kid", ["other", "", "../keys.json", "' OR 1=1", "a" * 255, ...])
def test_attack_an_unknown_or_missing_kid(house: House, kid: Any) -> None:
    assert house.refusal(house.sign(house.claims(), kid=kid)) is TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize("with_our_kid", [True, False])
def test_attack_the_token_brings_its_own_key(house: House, with_our_kid: bool) -> None:
    own = OKPKey.generate_key("Ed25519", {"kid": "evil"})
    kid = house.keys.key_ids[0] if with_our_kid else "evil"
    for header in (
        {"jwk": own.as_dict(private=False)},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
    ):
        fault = house.refusal(house.sign(house.claims(), own, kid=kid, **header))
        assert fault is (TokenFault.SIGNATURE if with_our_kid else TokenFault.UNKNOWN_KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "u_2"},
        {"scope": "orders:read users:any"},
        {"exp": 4102444800},
    ],
)
def test_attack_changed_claims(house: House, change: dict[str, Any]) -> None:
    header, _, signature = house.token().split(".")
    assert house.refusal(f"{header}.{encoded(house.claims(**change))}.{signature}") is TokenFault.SIGNATURE


def test_attack_a_flipped_bit_or_a_cut_signature(house: House) -> None:
    header, payload, signature = house.token().split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[0] ^= 1
    for forged in (encoded(bytes(raw)), encoded(bytes(raw[:-1])), "", encoded(bytes(64))):
        assert house.refusal(f"{header}.{payload}.{forged}") is TokenFault.SIGNATURE


def test_attack_an_ecdsa_signature_of_zeros(tmp_path: Path) -> None:
    house = House(tmp_path / "keys.json", "ES256")  # CVE-2022-21449 in another library
    header, payload, _ = house.token().split(".")
    assert house.refusal(f"{header}.{payload}.{encoded(bytes(64))}") is TokenFault.SIGNATURE


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"iss": "evil"}, TokenFault.ISSUER),
        ({"iss": ...}, TokenFault.CLAIMS),
        ({"aud": "other"}, TokenFault.AUDIENCE),
        ({"aud": ["other"]}, TokenFault.AUDIENCE),
        ({"aud": []}, TokenFault.AUDIENCE),
        ({"aud": ...}, TokenFault.CLAIMS),
        ({"aud": 7}, TokenFault.CLAIMS),
        ({"sub": ...}, TokenFault.CLAIMS),
        ({"sub": ""}, TokenFault.CLAIMS),
        ({"sub": 7}, TokenFault.CLAIMS),
        ({"exp": ...}, TokenFault.CLAIMS),
        ({"exp": None}, TokenFault.CLAIMS),
        ({"exp": "4102444800"}, TokenFault.CLAIMS),
        ({"exp": True}, TokenFault.CLAIMS),
        ({"exp": float("nan")}, TokenFault.CLAIMS),
        ({"exp": float("inf")}, TokenFault.CLAIMS),
        ({"exp": 0}, TokenFault.EXPIRED),
        ({"nbf": int(NOW.timestamp()) + 60}, TokenFault.NOT_YET_VALID),
        ({"iat": int(NOW.timestamp()) + 60}, TokenFault.NOT_YET_VALID),
        ({"nbf": "soon"}, TokenFault.CLAIMS),
        ({"scope": ["users:any"]}, TokenFault.CLAIMS),
        ({"act": "shop"}, TokenFault.CLAIMS),
        ({"order_id": 7}, TokenFault.CLAIMS),
    ],
)
def test_attack_claims_that_do_not_fit(house: House, change: dict[str, Any], fault: TokenFault) -> None:
    assert house.refusal(house.sign(house.claims(**change))) is fault


def test_attack_an_oversized_token(house: House) -> None:
    assert house.refusal(house.sign(house.claims(padding="x" * 9000))) is TokenFault.OVERSIZED
    assert house.refusal("a" * 10_000_000) is TokenFault.OVERSIZED


@pytest.mark.parametrize("extension", ["b64", "http://example.com/unknown"])
def test_attack_a_critical_extension_that_we_do_not_know(house: House, extension: str) -> None:
    _, payload, signature = house.token().split(".")
    head = {"alg": "EdDSA", "kid": house.keys.key_ids[0], "crit": [extension], extension: False}
    assert house.refusal(f"{encoded(head)}.{payload}.{signature}") is TokenFault.MALFORMED


@pytest.mark.parametrize("type", ["payonce-order-terms", "logout+jwt", "secevent+jwt", "JOSE", ""])
def test_attack_something_else_that_the_same_key_has_signed(house: House, type: Any) -> None:
    assert house.refusal(house.sign(house.claims(), typ=type)) is TokenFault.TYPE


@pytest.mark.parametrize("type", ["JWT", "jwt", "at+jwt", "application/at+jwt", ...])
def test_the_types_of_access_tokens(house: House, type: Any) -> None:
    assert house.verifier.verify(house.sign(house.claims(), typ=type)).subject == "u_1"


def test_attack_nested_without_end(house: House) -> None:
    deep = b'{"alg":"EdDSA","x":' + b"[" * 4000
    assert house.refusal(f"{encoded(deep)}.{encoded({})}.") is TokenFault.MALFORMED


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d.e",
        "é.é.é",
        "\x00",
        f"{encoded([])}.{encoded({})}.",
        f"{encoded(['alg'])}.{encoded({})}.",
        f"{encoded('alg')}.{encoded({})}.",
        f"{encoded({})}.{encoded({})}.",
        f"{encoded(b'[' * 300)}.{encoded({})}.",
    ],
)
def test_what_is_no_token_is_malformed(house: House, token: str) -> None:
    assert house.refusal(token) is TokenFault.MALFORMED


def test_a_payload_that_is_no_object_is_refused(house: House) -> None:
    header = {"alg": "EdDSA", "kid": house.keys.key_ids[0]}
    key = house.keys.signing_key
    assert isinstance(key, OKPKey)
    private = key.private_key
    assert private is not None
    payloads: list[object] = [[], "x", 1, b"\xff\xfe", b"[" * 2000, b'{"x":' + b"[" * 4000]
    for payload in payloads:
        text = f"{encoded(header)}.{encoded(payload)}"
        token = f"{text}.{encoded(private.sign(text.encode()))}"  # type: ignore[union-attr]
        assert house.refusal(token) is TokenFault.CLAIMS


@given(
    header=st.recursive(
        st.none() | st.booleans() | st.text(max_size=8),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "jwk", "typ"]), x, max_size=5)
        ),
        max_leaves=6,
    )
)
def test_no_header_whatever_breaks_the_verifier(house: House, header: object) -> None:
    with pytest.raises(TokenInvalid):
        house.verifier.verify(f"{encoded(header)}.{encoded({})}.{encoded(b'x')}")
