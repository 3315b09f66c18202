"""What a payment needs of its order, over HTTP: the order's signed terms, its answer, both, or nothing."""

from typing import Any

import httpx
import pytest

from domain.payments.check_back import CheckBack
from entrypoints.settings import CheckBackCaller
from tests.integration.http.conftest import Api, MakeApi
from tests.support.fake_gateway import FakeGateway

POLICIES = (
    CheckBackCaller(policy=CheckBack.SNAPSHOT, subject="snapshot"),
    CheckBackCaller(policy=CheckBack.BOTH, subject="both"),
    CheckBackCaller(policy=CheckBack.OFF, subject="off"),
)


async def begin(api: Api, by: str, order: dict[str, Any], **changes: Any) -> httpx.Response:
    body = {"orderId": order["orderId"], "amount": order["totalAmount"], "currency": "EUR", **changes}
    return await api.post("/v1/payments/intents", body, key=f"{by}-{api.container.ids.new('k')}", sub=by)


async def test_each_caller_brings_what_is_wanted_of_them(make_api: MakeApi, gateway: FakeGateway) -> None:
    api = make_api(check_back_callers=POLICIES)
    order = await api.order()
    path = f"/v1/orders/{order['orderId']}"
    signed = (await api.get(f"{path}/payment-terms")).json()["snapshot"]
    for by in ("snapshot", "both"):
        missing = await begin(api, by, order)
        assert (missing.status_code, missing.json()["code"]) == (422, "order_snapshot_missing")
        assert missing.json()["errors"][0]["pointer"] == "/orderSnapshot"
        forged = await begin(api, by, order, orderSnapshot=f"{signed[:-8]}AAAAAAAA")
        assert (forged.status_code, forged.json()["code"]) == (422, "order_snapshot_invalid")
        other = await begin(api, by, order, orderSnapshot=signed, amount=order["totalAmount"] + 1)
        assert (other.status_code, other.json()["code"]) == (422, "order_terms_differ")
    differs = await begin(api, "u_1", order, amount=order["totalAmount"] + 1)
    assert (differs.status_code, differs.json()["code"]) == (422, "order_terms_differ")

    changed = await api.http.patch(
        path,
        json={"metadata": {"colour": "green"}},
        headers={**api.bearer("orders:write", "users:any"), "If-Match": f'"{order["version"]}"'},
    )
    assert changed.status_code == 200, changed.text
    stale = await begin(api, "both", order, orderSnapshot=signed)
    assert (stale.status_code, stale.json()["code"]) == (422, "order_snapshot_stale")
    assert gateway.intents == {}
    assert (await api.get(f"/v1/payments?orderId={order['orderId']}")).json()["items"] == []

    now = (await api.get(f"{path}/payment-terms")).json()["snapshot"]
    assert (await begin(api, "both", order, orderSnapshot=now)).status_code == 201
    second = await api.order()
    terms = (await api.get(f"/v1/orders/{second['orderId']}/payment-terms")).json()
    assert (await begin(api, "snapshot", second, orderSnapshot=terms["snapshot"])).status_code == 201
    believed = {"orderId": "of-another-system", "totalAmount": 5}
    assert (await begin(api, "off", believed, amount=500)).status_code == 201


@pytest.mark.parametrize("policy", [CheckBack.SNAPSHOT, CheckBack.BOTH])
async def test_our_own_order_service_brings_it(make_api: MakeApi, policy: CheckBack) -> None:
    api = make_api(check_back=policy)
    order = await api.order()
    paid = await api.post(
        f"/v1/orders/{order['orderId']}/confirm", {"paymentMethodToken": "pm_card_visa"}, key="once"
    )
    assert paid.status_code == 200, paid.text
    assert paid.json()["payment"]["status"] == "SUCCEEDED"
