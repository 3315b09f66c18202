"""Rate limits over HTTP, joined through a real Valkey."""

import httpx
import structlog

from entrypoints.settings import Secret
from tests.integration.http.conftest import CART, CUSTOMER, OPERATOR, SERVICE, Api, MakeApi
from tests.integration.http.test_problems import problem

BAD = {"Authorization": "Bearer bad"}


async def statuses(api: Api, times: int, scopes: tuple[str, ...] = CUSTOMER, sub: str = "u_1") -> list[int]:
    return [(await api.get("/v1/orders", scopes, sub)).status_code for _ in range(times)]


def limited(answer: httpx.Response, policy: str, quota: int) -> None:
    problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert answer.headers["ratelimit-policy"] == f'"{policy}";q={quota};w=60'
    assert answer.headers["ratelimit"] == f'"{policy}";r=0;t={answer.headers["retry-after"]}'


async def test_a_caller_has_a_quota_of_reads_and_one_of_writes(make_api: MakeApi) -> None:
    api = make_api(rate_limit_reads=3, rate_limit_writes=2)
    first = await api.get("/v1/orders", CUSTOMER)
    assert first.headers["ratelimit-policy"] == '"reads";q=3;w=60'
    assert first.headers["ratelimit"] == '"reads";r=2'
    assert await statuses(api, 3) == [200, 200, 429]
    assert await statuses(api, 1, sub="u_2") == [200]
    created = [await api.post("/v1/orders", CART, scopes=CUSTOMER, key=f"k{n}") for n in range(3)]
    assert [answer.status_code for answer in created] == [201, 201, 429]
    limited(created[2], "writes", 2)
    limited(await api.get("/v1/orders", CUSTOMER), "reads", 3)


async def test_a_refusal_is_not_kept_under_its_key(make_api: MakeApi) -> None:
    api = make_api(rate_limit_writes=1)
    await api.post("/v1/orders", CART, scopes=CUSTOMER)
    limited(await api.post("/v1/orders", CART, key="k1", scopes=CUSTOMER), "writes", 1)
    assert (await make_api().post("/v1/orders", CART, key="k1", scopes=CUSTOMER)).status_code == 201


async def test_a_service_that_acts_for_many_has_ten_times_the_quota(make_api: MakeApi) -> None:
    api = make_api(rate_limit_reads=2)
    assert await statuses(api, 21, SERVICE, "shop") == [200] * 20 + [429]


async def test_two_processes_count_together(make_api: MakeApi) -> None:
    one, two = make_api(rate_limit_reads=5), make_api(rate_limit_reads=5)
    answers = [status for _ in range(4) for api in (one, two) for status in await statuses(api, 1)]
    assert answers == [200] * 5 + [429] * 3


async def test_one_address_has_a_quota_whoever_calls(make_api: MakeApi) -> None:
    api = make_api(rate_limit_address=3)
    assert await statuses(api, 1, sub="u_1") == [200]
    assert (await api.http.get("/v1/nothing")).status_code == 404
    problem(await api.http.get("/v1/orders"), 401, "token_missing")
    limited(await api.get("/v1/orders", sub="u_2"), "address", 3)
    limited(await api.http.get("/schema"), "address", 3)
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await api.http.get(path)).status_code == 200
    assert "payonce_rate_limited_total" in (await api.http.get("/metrics")).text


async def test_addresses_behind_a_trusted_proxy_are_told_apart(make_api: MakeApi) -> None:
    api = make_api(rate_limit_address=1, trusted_proxies=("127.0.0.1",))
    for client in ("198.51.100.1", "198.51.100.2"):
        headers = {"X-Forwarded-For": f"1.2.3.4, {client}", **api.bearer(*SERVICE)}
        assert (await api.http.get("/v1/orders", headers=headers)).status_code == 200
        limited(await api.http.get("/v1/orders", headers=headers), "address", 1)


async def test_bad_tokens_are_counted_and_good_ones_pass_all_the_same(make_api: MakeApi) -> None:
    api = make_api(rate_limit_failures=2)
    for _ in range(2):
        problem(await api.http.get("/v1/orders", headers=BAD), 401, "token_invalid")
    limited(await api.http.get("/v1/orders", headers=BAD), "failures", 2)
    assert await statuses(api, 1) == [200]
    unsigned = await api.http.post("/v1/webhooks/stripe", json={}, headers={"Stripe-Signature": "t=1,v1=0"})
    limited(unsigned, "failures", 2)


async def test_webhooks_have_a_quota_of_their_own(make_api: MakeApi) -> None:
    api = make_api(rate_limit_webhooks=1, rate_limit_address=1)
    problem(await api.http.post("/v1/webhooks/stripe", json={}), 400, "signature_invalid")
    limited(await api.http.post("/v1/webhooks/stripe", json={}), "webhooks", 1)
    assert await statuses(api, 1) == [200]


async def test_while_valkey_is_away_money_paths_stay_open(make_api: MakeApi) -> None:
    api = make_api(redis_url=Secret("redis://127.0.0.1:1/0"), rate_limit_reads=2, rate_limit_writes=2)
    with structlog.testing.capture_logs() as logs:
        order = await api.post("/v1/orders", CART, scopes=CUSTOMER)
        paid = await api.post(
            f"/v1/orders/{order.json()['orderId']}/confirm",
            {"paymentMethodToken": "pm_card_visa"},
            key="k",
            scopes=CUSTOMER,
        )
    assert (order.status_code, paid.status_code) == (201, 200)
    complaints = [line for line in logs if line["event"] == "rate_limits_not_shared"]
    assert len(complaints) == 1
    assert "payonce_rate_limits_shared 0.0" in (await api.http.get("/metrics")).text
    assert await statuses(api, 3, OPERATOR, "u_9") == [200] * 3


async def test_without_valkey_each_process_counts_for_itself(make_api: MakeApi) -> None:
    api = make_api(redis_url=Secret(""), broker_url=Secret("redis://127.0.0.1:1/0"), rate_limit_reads=2)
    assert await statuses(api, 3) == [200, 200, 429]
