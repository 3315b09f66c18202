"""The demo's client: it repeats what may be repeated, with the same key, and nothing else."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from entrypoints.local.demo import client as demo_client
from entrypoints.local.demo.client import Api, Unexpected

Answer = httpx.Response | httpx.TransportError


class Server:
    """Gives these answers one after the other, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(demo_client, "RETRY_SECONDS", 0)
    return Server()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        yield Api(client, "http://api", "token")


TEMPORARY: dict[str, Callable[[], Answer]] = {
    "connection refused": lambda: httpx.ConnectError("refused"),
    "connection lost": lambda: httpx.RemoteProtocolError("lost"),
    "no answer in time": lambda: httpx.ReadTimeout("late"),
    "unavailable": lambda: httpx.Response(503),
    "too many": lambda: httpx.Response(429),
    "same key in flight": lambda: httpx.Response(409, headers={"Retry-After": "1"}),
}


@pytest.mark.parametrize("name", TEMPORARY)
async def test_a_temporary_failure_is_repeated_with_the_same_key(server: Server, api: Api, name: str) -> None:
    server.answers = [TEMPORARY[name](), TEMPORARY[name](), httpx.Response(201, json={"orderId": "ord_1"})]
    assert await api.post("/v1/orders", {"currency": "EUR"}) == {"orderId": "ord_1"}
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    assert {request.content for request in server.requests} == {b'{"currency":"EUR"}'}
    assert server.requests[0].headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
async def test_a_final_answer_is_not_repeated(server: Server, api: Api, status: int) -> None:
    server.answers = [httpx.Response(status, text="why")]
    with pytest.raises(Unexpected, match=f"POST /v1/orders: {status} why"):
        await api.post("/v1/orders", {})


async def test_two_calls_have_two_keys(server: Server, api: Api) -> None:
    server.answers = [httpx.Response(200, json={}), httpx.Response(200, json={})]
    await api.post("/v1/orders", {})
    await api.post("/v1/orders", {})
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 2


async def test_patience_ends(server: Server, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_client, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(demo_client, "RETRY_SECONDS", 1)
    server.answers = [httpx.Response(503, text="down")]
    with pytest.raises(Unexpected, match=r"GET /v1/orders: still 503 down after 0\.05 s"):
        await api.get("/v1/orders")


async def test_a_list_is_read_to_its_last_page(server: Server, api: Api) -> None:
    server.answers = [
        httpx.Response(200, json={"items": [{"n": 1}, {"n": 2}], "nextCursor": "c2"}),
        httpx.Response(200, json={"items": [{"n": 3}], "nextCursor": None}),
    ]
    assert [item["n"] async for item in api.items("/v1/orders", status="PAID")] == [1, 2, 3]
    assert [str(request.url.query, "ascii") for request in server.requests] == [
        "status=PAID",
        "status=PAID&cursor=c2",
    ]


async def test_a_log_that_can_be_followed_is_read_to_its_present_end(server: Server, api: Api) -> None:
    server.answers = [
        httpx.Response(200, json={"items": [{"n": 1}], "nextCursor": "c1"}),
        httpx.Response(200, json={"items": [], "nextCursor": None}),
    ]
    assert [item["n"] async for item in api.items("/v1/events", "after")] == [1]
    assert [request.url.query for request in server.requests] == [b"", b"after=c1"]
