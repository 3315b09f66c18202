"""What surrounds every call: request ids, traces, the log's line, health, keys, and the document."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from litestar.routes import HTTPRoute

from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.http.operations import Operation
from entrypoints.settings import Settings
from entrypoints.traces import current_traceparent
from tests.integration.http.conftest import CART, SERVICE, Api, MakeSettings
from tests.support.fake_gateway import FakeGateway
from tests.support.services import certificates, tls_files

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


@pytest.mark.parametrize("given", ["abc-1", "x" * 128, "~!"])
async def test_a_sane_request_id_is_kept(api: Api, given: str) -> None:
    answer = await api.http.get("/livez", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ä", "a\tb"])
async def test_another_one_is_replaced(api: Api, given: str) -> None:
    headers = {"X-Request-Id": given.encode()}
    answer = await api.http.get("/nothing", headers=headers)  # type: ignore[arg-type]
    assert answer.headers["x-request-id"].startswith("req_")


async def traced(api: Api, monkeypatch: pytest.MonkeyPatch, **headers: str) -> str:
    """The trace context that a use case works under."""
    seen: list[str | None] = []

    def jwks() -> dict[str, Any]:
        seen.append(current_traceparent())
        return {"keys": []}

    monkeypatch.setattr(api.container, "public_jwks", jwks)
    await api.http.get("/.well-known/jwks.json", headers=headers)
    assert seen[0] is not None
    assert TRACEPARENT.fullmatch(seen[0])
    return seen[0]


async def test_a_trace_goes_on_in_a_span_of_ours(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = await traced(api, monkeypatch, traceparent=PARENT)
    assert ours[:36] == PARENT[:36]
    assert ours[36:52] != PARENT[36:52]
    later_version = await traced(api, monkeypatch, traceparent="01" + PARENT[2:] + "-more")
    assert later_version[:36] == PARENT[:36]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "garbage",
        PARENT + "-more",
        PARENT.upper(),
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
async def test_an_invalid_trace_is_begun_anew(api: Api, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    assert "4bf92f3577b34da6a3ce929d0e0e4736" not in await traced(api, monkeypatch, traceparent=given)


async def test_two_traces_are_none(api: Api) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        await api.http.get("/livez", headers=[("traceparent", PARENT), ("traceparent", PARENT)])
    (line,) = logs
    assert TRACEPARENT.fullmatch(line["traceparent"])
    assert line["trace_id"] != PARENT[3:35]


async def test_one_line_in_the_log(api: Api) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        order = await api.order()
        await api.get(f"/v1/orders/{order['orderId']}?secret=4711")
        await api.http.request("BREW", "/nothing/4711")
    created, refused, unknown = logs
    assert created["event"] == "request"
    assert (created["method"], created["route"], created["status"]) == ("POST", "/v1/orders", 201)
    assert created["order_id"] == order["orderId"]
    assert created["request_id"].startswith("req_")
    assert created["duration_ms"] > 0
    assert refused["route"] == "/v1/orders/{orderId}"
    assert (unknown["method"], unknown["route"], unknown["status"]) == ("OTHER", "", 404)
    assert "4711" not in str(logs)


async def test_health_and_keys(api: Api) -> None:
    assert (await api.http.get("/livez")).json() == {"status": "alive"}
    ready = await api.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert {check["name"] for check in ready.json()["checks"]} >= {
        "ordersDatabase",
        "paymentsDatabase",
        "broker",
    }
    (key,) = (await api.http.get("/.well-known/jwks.json")).json()["keys"]
    assert "d" not in key


def alone(make_settings: MakeSettings, service: str, home: Path) -> Settings:
    """The settings of one service whose other one never answers."""
    files = tls_files(certificates(home), service)
    return make_settings(
        service=service,
        orders_url="https://127.0.0.1:9",
        payments_url="https://127.0.0.1:9",
        service_client_cert=files.certificate,
        service_client_key=files.key,
        service_client_ca=files.authority,
    )


@pytest.mark.parametrize(
    ("service", "there", "not_there"),
    [("orders", "/v1/orders", "/v1/payments"), ("payments", "/v1/payments", "/v1/orders")],
)
async def test_each_service_has_its_own_calls(
    make_settings: MakeSettings,
    gateway: FakeGateway,
    tmp_path: Path,
    service: str,
    there: str,
    not_there: str,
) -> None:
    container = build_container(alone(make_settings, service, tmp_path), Outside(gateway=gateway))
    api = Api(create_app_of(container), container)
    assert (await api.get(there)).status_code == 200
    assert (await api.get(not_there)).status_code == 404
    document = (await api.http.get("/schema/openapi.json")).json()
    assert there in document["paths"]
    assert not_there not in document["paths"]
    await api.http.aclose()
    await container.stop()


async def test_the_document_holds_every_route(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    documented = {(path, method) for path, methods in document["paths"].items() for method in methods}
    there = {
        (route.path_format, method.lower())
        for route in api.app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith(("/schema", "/console"))
        for method in set(route.methods) - {"OPTIONS"}
    }
    assert documented == there
    ids = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))


async def test_every_body_and_answer_has_a_true_example(api: Api) -> None:
    examples = 0
    for route in api.app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler, _ in route.route_handler_map.values():
            operation = handler.opt.get("operation")
            if isinstance(operation, Operation):
                answers = [operation.answer_example, *operation.other_answers.values()]
                for example in answers:
                    msgspec.json.decode(msgspec.json.encode(example), type=operation.answer)
                for example in operation.body_examples.values():
                    msgspec.json.decode(msgspec.json.encode(example), type=operation.body)
                assert not operation.body or operation.body_examples
                examples += len(answers)
    assert examples > 15


async def test_the_document_says_what_is_needed(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    confirm = document["paths"]["/v1/orders/{orderId}/confirm"]["post"]
    (key,) = (parameter for parameter in confirm["parameters"] if parameter["name"] == "Idempotency-Key")
    assert key["required"]
    assert confirm["security"] == [{"bearer": ["orders:write"]}]
    assert set(confirm["responses"]) == {
        "200",
        "400",
        "401",
        "403",
        "404",
        "409",
        "412",
        "413",
        "415",
        "422",
        "429",
        "503",
    }
    assert "\\Z" not in json.dumps(document)
    create = document["components"]["schemas"]["CreateOrderBody"]
    assert create["additionalProperties"] is False
    assert create["required"] == ["currency", "lines"]


async def test_the_page_needs_nobody_else(api: Api) -> None:
    page: httpx.Response = await api.http.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/orders/{orderId}/confirm" in page.text
    assert "<script" not in page.text
    assert not re.search(r"(src|href)=['\"]?https?:", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_answers_are_kept_by_nobody_on_the_way(api: Api) -> None:
    answer = await api.post("/v1/orders", CART, scopes=SERVICE)
    assert answer.headers["cache-control"] == "no-store"


async def test_metrics_need_no_token(api: Api) -> None:
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    assert 'payonce_up{consumer="orders",log="payments"} 1.0' in answer.text
    assert "process_resident_memory_bytes " in answer.text


@pytest.mark.parametrize("service", ["orders", "payments"])
async def test_a_service_tells_of_its_own_log(
    make_settings: MakeSettings, gateway: FakeGateway, tmp_path: Path, service: str
) -> None:
    container = build_container(alone(make_settings, service, tmp_path), Outside(gateway=gateway))
    api = Api(create_app_of(container), container)
    told = (await api.http.get("/metrics")).text
    assert set(re.findall(r'log="(\w+)"', told)) == {service}
    await api.http.aclose()
    await container.stop()
