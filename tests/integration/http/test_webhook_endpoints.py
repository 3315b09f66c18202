"""Operators and webhooks of ours, over HTTP."""

from typing import Any

import pytest

from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from tests.integration.http.conftest import Api, MakeSettings
from tests.support.webhook_receiver import FakeSender

WRITER, READER = ("operations:write", "operations:read"), ("operations:read",)
PATH = "/v1/webhook-endpoints"
BODY: dict[str, Any] = {"url": "https://shop.example/hooks", "eventTypes": ["*"], "description": "ours"}


@pytest.fixture
async def api(make_settings: MakeSettings) -> Any:
    container = build_container(make_settings(), Outside(webhook_sender=FakeSender()))
    await container.start()
    client = Api(create_app_of(container), container)
    yield client
    await client.http.aclose()
    await container.stop()


async def test_the_life_of_an_endpoint(api: Api) -> None:
    made = await api.post(PATH, BODY, scopes=WRITER, key="k1")
    assert made.status_code == 201, made.text
    endpoint = made.json()
    assert endpoint["secret"].startswith("whsec_")
    where = made.headers["Location"]
    assert (await api.post(PATH, BODY, scopes=WRITER, key="k1")).json() == endpoint

    shown = (await api.get(where, scopes=READER)).json()
    assert "secret" not in shown
    assert (shown["url"], shown["eventTypes"], shown["enabled"]) == (BODY["url"], ["*"], True)
    assert (await api.get(PATH, scopes=READER)).json() == {"items": [shown], "nextCursor": None}

    changed = await api.http.patch(where, json={"enabled": False}, headers=api.bearer(*WRITER))
    assert (changed.status_code, changed.json()["disabledReason"]) == (200, "OPERATOR")
    rotated = (await api.post(f"{where}/rotate-secret", scopes=WRITER)).json()
    assert rotated["secret"] != endpoint["secret"]
    assert rotated["previousSecretUntil"] is not None

    deliveries = await api.get(f"{where}/deliveries?status=FAILED", scopes=READER)
    assert deliveries.json() == {"items": [], "nextCursor": None}
    replayed = await api.post(f"{where}/replay", {"since": "2026-01-01T00:00:00Z"}, scopes=WRITER)
    assert replayed.json() == {"replayed": 0}

    assert (await api.delete(where, scopes=WRITER)).status_code == 204
    assert (await api.get(where, scopes=READER)).json()["code"] == "webhook_endpoint_not_found"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**BODY, "eventTypes": []}, "/eventTypes"),
        ({**BODY, "eventTypes": ["PaymentTeleported"]}, "/eventTypes/0"),
        ({**BODY, "url": "not an address"}, "/url"),
        ({**BODY, "secret": "mine"}, "/secret"),
    ],
)
async def test_bad_bodies(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.post(PATH, body, scopes=WRITER)
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


async def test_metrics_tell_how_deliveries_stand(api: Api) -> None:
    told = (await api.http.get("/metrics")).text
    assert "payonce_webhook_deliveries_pending 0.0" in told
    assert "payonce_webhook_endpoints_disabled 0.0" in told


async def test_what_is_refused(api: Api) -> None:
    refused = await api.post(PATH, {**BODY, "url": "http://10.0.0.1/"}, scopes=WRITER)
    assert (refused.status_code, refused.json()["code"]) == (422, "webhook_url_refused")
    assert refused.json()["errors"][0]["pointer"] == "/url"
    assert (await api.post(PATH, BODY, scopes=READER)).status_code == 403
    assert (await api.get(PATH)).status_code == 403
    gone = await api.post("/v1/webhook-deliveries/whd_1/replay", scopes=WRITER)
    assert (gone.status_code, gone.json()["code"]) == (404, "webhook_delivery_not_found")
    for path in ("deliveries", "replay"):
        where = f"{PATH}/whe_1/{path}"
        answer = (
            await api.get(where, scopes=READER)
            if path == "deliveries"
            else await api.post(where, {"since": "2026-01-01T00:00:00Z"}, scopes=WRITER)
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_endpoint_not_found")
