"""Refunds in the console: four eyes, one token for one approval, and once for a double click."""

from typing import Any

import pytest

from domain.payments.gateway import GatewayRefused
from domain.shared.callers import Caller
from tests.integration.console.conftest import READER, OpenBrowser
from tests.integration.http.conftest import Api, MakeApi
from tests.integration.http.test_refunds import POLICY, pay, refund
from tests.support.browser import Browser
from tests.support.fake_gateway import FakeGateway

FOR_ALL = Caller(subject="test", scopes=frozenset({"users:any"}))
APPROVER = (*READER, "refunds:approve")


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    return make_api(refund_policy=POLICY)


async def waiting(api: Api, amount: int = 900) -> str:
    """A refund that ann has asked for, above her limit."""
    answer = await refund(api, await pay(api), amount, f"refund-{amount}", sub="ann")
    made: dict[str, Any] = answer.json()
    assert made["status"] == "PENDING_APPROVAL"
    return f"/console/refunds/{made['refundId']}"


async def signed_in(api: Api, open_browser: OpenBrowser, sub: str) -> Browser:
    browser = open_browser()
    assert (await browser.sign_in(api.token(*APPROVER, sub=sub))).status == 200
    return browser


async def test_a_second_person_approves_once_or_rejects(api: Api, open_browser: OpenBrowser) -> None:
    path = await waiting(api)
    bob = await signed_in(api, open_browser, "bob")
    assert "waiting 1" in (await bob.open("/console")).text
    page = await bob.open("/console/refunds?status=PENDING_APPROVAL")
    assert path in page.links
    form = (await bob.open(path)).form(f"{path}/approve")
    page = await bob.send(form, comment="seen the photos")
    assert page.answer.url.path == path
    for said in ("The refund is approved", "succeeded", "9.00 EUR", "ann", "bob", "staff", "seen the photos"):
        assert said in page.text, said
    page = await bob.send(form, comment="seen the photos")  # a double click
    assert (page.status, "The refund is approved" in page.text) == (200, True)
    found = await api.container.payments.get_refund(FOR_ALL, path.rpartition("/")[2])
    assert (found.decided_by, found.attempt) == ("bob", 1)

    path = await waiting(api, 902)
    page = await bob.send((await bob.open(path)).form(f"{path}/reject"), comment="no photos")
    assert "The refund is rejected" in page.text
    assert "no photos" in page.text
    assert [form.action for form in page.forms] == ["/console/sign-out"]


async def test_nobody_approves_what_they_asked_for(api: Api, open_browser: OpenBrowser) -> None:
    path = await waiting(api)
    ann, bob = await signed_in(api, open_browser, "ann"), await signed_in(api, open_browser, "bob")
    page = await ann.open(path)
    assert "Somebody else decides on it" in page.text
    assert [form.action for form in page.forms] == ["/console/sign-out"]
    form = (await bob.open(path)).form(f"{path}/approve")
    form.fields["formToken"] = (await ann.open("/console")).form("/console/sign-out").fields["formToken"]
    page = await ann.send(form)
    assert (page.status, "approver_is_requester" in page.text) == (403, True)


async def test_each_approval_wants_a_token_of_its_own(api: Api, open_browser: OpenBrowser) -> None:
    first, second = await waiting(api, 900), await waiting(api, 901)
    bob = await signed_in(api, open_browser, "bob")
    await bob.send((await bob.open(first)).form(f"{first}/approve"))
    form = (await bob.open(second)).form(f"{second}/approve")
    page = await bob.send(form)
    assert (page.status, "token_used" in page.text) == (403, True)
    for token, code in [
        (api.token(*APPROVER, sub="eve"), "token_of_another"),
        (api.token(*READER, sub="bob"), "scope_missing"),
        ("forged", "token_invalid"),
    ]:
        page = await bob.send(form, token=token)
        assert code in page.text
        assert token not in page.answer.text
    page = await bob.send(form, token=api.token(*APPROVER, sub="bob"))
    assert "The refund is approved" in page.text
    assert "succeeded" in page.text


async def test_a_failed_refund_is_tried_again(
    api: Api, open_browser: OpenBrowser, gateway: FakeGateway
) -> None:
    payment = await pay(api)
    gateway.script(GatewayRefused("balance_insufficient", "Not now."))
    made = (await refund(api, payment, 100, "torn", sub="ann")).json()
    assert made["status"] == "FAILED"
    path = f"/console/refunds/{made['refundId']}"
    browser = open_browser()
    await browser.sign_in(api.token(*READER, "refunds:create", sub="ann"))
    page = await browser.open(path)
    page = await browser.send(page.form(f"{path}/retry"))
    assert "The gateway was asked again" in page.text
    assert "attempt 2" in page.text
    assert "succeeded" in page.text
