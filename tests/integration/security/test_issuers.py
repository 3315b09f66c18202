"""Tokens of outside issuers, whose keys come from a real HTTP server that is not always well."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from joserfc.jwk import OctKey, RSAKey

from adapters.security import issuers as module
from adapters.security.issuers import (
    BETWEEN_FETCHES,
    BETWEEN_FETCHES_OF_SERVICES,
    LIFETIME,
    MAX_JWKS_BYTES,
    MAX_KEYS,
    IssuedTokens,
    RemoteKeys,
    ServiceTokens,
)
from adapters.security.keys import create_keys
from adapters.security.tokens import JwtIssuer, JwtVerifier, TokenProfile
from domain.shared.callers import Caller, TokenFault, TokenInvalid
from tests.integration.security.issuer import Issuer, Respond, saying

MakeTokens = Callable[..., IssuedTokens]


class Clock:
    time = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, step: timedelta) -> None:
        self.time += step


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    async with issuer.serving():
        yield issuer


@pytest.fixture
async def make(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeTokens]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    keys = create_keys(tmp_path / "keys.json")
    async with AsyncExitStack() as stack:

        def make_tokens(*issuers: Issuer, **changes: Any) -> IssuedTokens:
            profile = TokenProfile(issuer="payonce", audience="payonce")
            own = JwtVerifier([keys], profile, now=clock.now)
            tokens = IssuedTokens(own, [issuer.trusted(**changes) for issuer in issuers], clock.now)
            stack.push_async_callback(tokens.close)
            return tokens

        yield make_tokens


async def refusal(tokens: IssuedTokens, token: str) -> TokenFault:
    with pytest.raises(TokenInvalid) as refused:
        await tokens.verify(token)
    return refused.value.reason


async def test_a_token_of_an_issuer_we_trust(make: MakeTokens, issuer: Issuer, clock: Clock) -> None:
    caller = await make(issuer).verify(issuer.token(clock.now(), act={"sub": "shop"}))
    assert caller == Caller("u_1", frozenset({"orders:read"}), actor="shop")


async def test_our_own_tokens_count_as_before_and_fetch_nothing(
    make: MakeTokens, issuer: Issuer, clock: Clock, tmp_path: Path
) -> None:
    own = JwtIssuer(
        create_keys(tmp_path / "keys.json"),
        issuer="payonce",
        audience="payonce",
        now=clock.now,
        new_token_id=lambda: "tok_1",
    )
    token = own.issue("u_9", ["orders:read"], clock.now() + timedelta(minutes=1))
    assert (await make(issuer).verify(token)).subject == "u_9"
    assert issuer.fetches == 0


async def test_an_issuer_gives_no_more_than_it_may(make: MakeTokens, issuer: Issuer, clock: Clock) -> None:
    tokens = make(
        issuer, scope_claim="scp", scopes=frozenset({"orders:read", "orders:write"}), subject_prefix="login|"
    )
    token = issuer.token(clock.now(), scp=["orders:read", "users:any"], scope="operations:write")
    assert await tokens.verify(token) == Caller("login|u_1", frozenset({"orders:read"}))
    for scp in (7, ["orders:read", 7], {"orders:read": True}):
        assert await refusal(tokens, issuer.token(clock.now(), scp=scp)) is TokenFault.CLAIMS


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({"iss": "https://other.test"}, TokenFault.UNKNOWN_KEY),  # nobody we trust: our own keys decide
        ({"iss": "payonce"}, TokenFault.UNKNOWN_KEY),
        ({"aud": "payonce"}, TokenFault.AUDIENCE),
        ({"exp": 0}, TokenFault.EXPIRED),
        ({"nbf": 4102444800}, TokenFault.NOT_YET_VALID),
    ],
)
async def test_what_is_not_for_us(
    make: MakeTokens, issuer: Issuer, clock: Clock, claims: dict[str, Any], fault: TokenFault
) -> None:
    assert await refusal(make(issuer), issuer.token(clock.now(), **claims)) is fault


async def test_an_issuers_key_proves_its_own_tokens_only(
    make: MakeTokens, issuer: Issuer, clock: Clock
) -> None:
    other = Issuer("https://other.test")
    other.keys = [RSAKey.generate_key(2048, {"kid": "k2"})]
    async with other.serving():
        tokens = make(issuer, other)
        for known in (issuer, other):
            await tokens.verify(known.token(clock.now()))
        forged = other.token(clock.now(), iss=issuer.name)
        assert await refusal(tokens, forged) is TokenFault.UNKNOWN_KEY
        as_ours = other.token(clock.now(), iss="payonce")
        assert await refusal(tokens, as_ours) is TokenFault.UNKNOWN_KEY


async def test_a_rotation_interrupts_nothing(make: MakeTokens, issuer: Issuer, clock: Clock) -> None:
    tokens = make(issuer)
    old = issuer.token(clock.now())
    await tokens.verify(old)
    issuer.add_key("k2")
    new = issuer.token(clock.now())
    clock.advance(BETWEEN_FETCHES)
    for token in (old, new, old):
        assert (await tokens.verify(token)).subject == "u_1"
    assert issuer.fetches == 2


async def test_old_keys_are_fetched_anew_beside_the_requests(
    make: MakeTokens, issuer: Issuer, clock: Clock
) -> None:
    tokens = make(issuer)
    await tokens.verify(issuer.token(clock.now()))
    asked, asking = asyncio.Event(), issuer.publish

    async def publish(writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        await asking(writer)

    issuer.respond = publish
    clock.advance(LIFETIME)
    assert (await tokens.verify(issuer.token(clock.now()))).subject == "u_1"  # does not wait
    asked.set()
    issuer.add_key("k2")
    assert (await tokens.verify(issuer.token(clock.now()))).subject == "u_1"  # waits for the same answer
    assert issuer.fetches == 2


async def test_a_key_that_was_withdrawn_counts_no_longer(
    make: MakeTokens, issuer: Issuer, clock: Clock
) -> None:
    tokens = make(issuer)
    withdrawn = issuer.keys[0]
    issuer.add_key("k2")
    await tokens.verify(issuer.token(clock.now(), key=withdrawn))
    issuer.keys = issuer.keys[1:]
    clock.advance(BETWEEN_FETCHES)
    assert await refusal(tokens, issuer.token(clock.now(), kid="unknown")) is TokenFault.UNKNOWN_KEY
    assert await refusal(tokens, issuer.token(clock.now(), key=withdrawn)) is TokenFault.UNKNOWN_KEY


async def test_many_first_tokens_fetch_once(make: MakeTokens, issuer: Issuer, clock: Clock) -> None:
    tokens = make(issuer)
    callers = await asyncio.gather(*(tokens.verify(issuer.token(clock.now())) for _ in range(30)))
    assert len(callers) == 30
    assert issuer.fetches == 1


async def test_invented_keys_do_not_make_us_fetch(make: MakeTokens, issuer: Issuer, clock: Clock) -> None:
    tokens = make(issuer)
    await tokens.verify(issuer.token(clock.now()))
    for number in range(100):
        token = issuer.token(clock.now(), kid=f"invented-{number}")
        assert await refusal(tokens, token) is TokenFault.UNKNOWN_KEY
    assert issuer.fetches == 1
    clock.advance(BETWEEN_FETCHES)
    for number in range(100):
        await refusal(tokens, issuer.token(clock.now(), kid=f"again-{number}"))
    assert issuer.fetches == 2


async def test_a_client_that_goes_away_takes_the_keys_from_nobody(
    make: MakeTokens, issuer: Issuer, clock: Clock
) -> None:
    tokens = make(issuer)
    impatient = asyncio.create_task(tokens.verify(issuer.token(clock.now())))
    patient = asyncio.create_task(tokens.verify(issuer.token(clock.now())))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).subject == "u_1"
    assert issuer.fetches == 1


SECRET = OctKey.generate_key(256, {"kid": "unknown"}).as_dict()
# Each made of a set with the very key that is asked for, which must not count in this form.
STRANGE: dict[str, Callable[[dict[str, Any], bytes], Respond]] = {
    "not there": lambda _, whole: saying(whole, "503 Service Unavailable"),
    "elsewhere": lambda _, whole: saying(whole, "302 Found", "Location: http://127.0.0.1:1/jwks\r\n"),
    "no JSON": lambda _, whole: saying(b"<html>" + whole),
    "no set": lambda key, _: saying(json.dumps({"keys": key}).encode()),
    "a list": lambda key, _: saying(json.dumps([key]).encode()),
    "no key": lambda *_: saying(b'{"keys": []}'),
    "a secret": lambda *_: saying(json.dumps({"keys": [SECRET]}).encode()),
    "strange keys": lambda *_: saying(
        b'{"keys": [7, null, {}, {"kty": "RSA"}, {"kty": "new", "kid": "unknown"}]}'
    ),
    "many keys": lambda key, _: saying(json.dumps({"keys": [key, *[{}] * MAX_KEYS]}).encode()),
    "large": lambda _, whole: saying(whole + b" " * MAX_JWKS_BYTES),
    "packed": lambda _, whole: saying(gzip.compress(whole), more="Content-Encoding: gzip\r\n"),
    "deep": lambda *_: saying(b"[" * 60_000),
}


@pytest.mark.parametrize("what", [*STRANGE, "silent", "trickling", "flooding"])
async def test_keys_in_hand_outlive_whatever_the_issuer_answers(
    make: MakeTokens, issuer: Issuer, clock: Clock, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.3)
    tokens = make(issuer)
    await tokens.verify(issuer.token(clock.now()))
    slow = {"silent": issuer.say_nothing, "trickling": issuer.trickle, "flooding": issuer.flood}
    key = {**issuer.keys[0].as_dict(private=False), "kid": "unknown"}
    whole = json.dumps({"keys": [key]}).encode()
    issuer.respond = slow[what] if what in slow else STRANGE[what](key, whole)
    clock.advance(LIFETIME)
    with structlog.testing.capture_logs() as logs:
        unknown = issuer.token(clock.now(), kid="unknown")
        assert await refusal(tokens, unknown) is TokenFault.UNKNOWN_KEY
    assert [line["event"] for line in logs] == ["issuer_keys_not_fetched"]
    assert (await tokens.verify(issuer.token(clock.now()))).subject == "u_1"
    issuer.respond = issuer.publish
    clock.advance(BETWEEN_FETCHES)
    issuer.add_key("k2")
    assert (await tokens.verify(issuer.token(clock.now()))).subject == "u_1"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_keys_we_cannot_use_are_left_out_and_the_others_count(
    make: MakeTokens, issuer: Issuer, clock: Clock
) -> None:
    weak = RSAKey.generate_key(1024, {"kid": "weak"})
    published = [key.as_dict(private=False) for key in (*issuer.keys, weak)]
    encrypting = {**published[0], "kid": "enc", "use": "enc"}
    keys = [{"kty": "new", "kid": "x"}, {**published[0], "kid": 7}, encrypting, *published]
    issuer.respond = saying(json.dumps({"keys": keys}).encode())
    tokens = make(issuer)
    assert (await tokens.verify(issuer.token(clock.now()))).subject == "u_1"
    assert await refusal(tokens, issuer.token(clock.now(), key=weak)) is TokenFault.UNKNOWN_KEY
    assert await refusal(tokens, issuer.token(clock.now(), kid="enc")) is TokenFault.UNKNOWN_KEY


async def test_a_service_that_has_just_rotated_its_key_is_waited_for(issuer: Issuer, clock: Clock) -> None:
    """Its keys are asked for again at once, for outsiders cannot make us; what was under way may be too old."""
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{issuer.port}/jwks"
        keys = RemoteKeys(issuer.name, url, client, clock.now, is_service=True)
        await keys.prepare("k1")
        clock.advance(BETWEEN_FETCHES_OF_SERVICES)
        asked, held, publish = asyncio.Event(), asyncio.Event(), issuer.publish

        async def publish_what_was(writer: asyncio.StreamWriter) -> None:
            before = saying(json.dumps({"keys": [issuer.keys[0].as_dict(private=False)]}).encode())
            asked.set()
            await held.wait()
            issuer.respond = publish
            await before(writer)

        issuer.respond = publish_what_was
        waiting = asyncio.create_task(keys.prepare("k2"))
        await asked.wait()
        issuer.add_key("k2")
        clock.advance(BETWEEN_FETCHES_OF_SERVICES)
        held.set()
        await waiting
        assert keys.find("k2") is not None
        assert issuer.fetches == 3
        assert keys.find("k1") is not None


async def test_a_services_tokens_count_on_while_its_keys_cannot_be_fetched(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other service's address answers nobody any more; the key in hand still proves what it signs."""
    monkeypatch.setattr(module, "BETWEEN_FETCHES_OF_SERVICES", timedelta())
    service = Issuer("orders")

    def signed(**changes: Any) -> str:
        seconds = int(clock.now().timestamp())
        claims = {"sub": "orders", "aud": "payments", "iat": seconds, "exp": seconds + 60, "jti": "tok_1"}
        return service.token(clock.now(), **{**claims, **changes})

    async with httpx.AsyncClient(trust_env=False) as client:
        async with service.serving():
            url = f"http://127.0.0.1:{service.port}/jwks"
            keys = RemoteKeys(service.name, url, client, clock.now, is_service=True)
            profile = TokenProfile(issuer=service.name, audience="payments", is_service=True)
            tokens = ServiceTokens(profile, keys, clock.now)
            assert (await tokens.verify(signed())).subject == "orders"
        clock.advance(LIFETIME)
        with structlog.testing.capture_logs() as logs:
            assert (
                await tokens.verify(signed())
            ).subject == "orders"  # and the keys are asked for, beside it
            with pytest.raises(TokenInvalid) as refused:  # only an answer could prove this one
                await tokens.verify(signed(kid="k2"))
        assert refused.value.reason is TokenFault.UNKNOWN_KEY
        assert {line["event"] for line in logs} == {"issuer_keys_not_fetched"}
        assert service.fetches == 1
        clock.advance(LIFETIME)
        assert (await tokens.verify(signed())).subject == "orders"
        await keys.prepare("k2")  # ends with the fetch that is under way
