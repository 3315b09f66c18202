"""The console over a real database and a gateway in memory, in a browser without sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from tests.integration.http.conftest import Api, api, gateway, make_api, make_settings
from tests.support.browser import Browser

__all__ = ["api", "gateway", "make_api", "make_settings"]

OPERATOR = ("orders:read", "payments:read", "operations:read", "operations:write", "users:any")
READER = ("orders:read", "payments:read", "operations:read", "users:any")

OpenBrowser = Callable[..., Browser]


@pytest.fixture
async def open_browser(api: Api) -> AsyncIterator[OpenBrowser]:
    """A browser in which nobody is signed in."""
    async with AsyncExitStack() as stack:

        def open_browser(origin: str = "https://payonce.test") -> Browser:
            browser = Browser(api.app, origin)
            stack.push_async_callback(browser.http.aclose)
            return browser

        yield open_browser


@pytest.fixture
async def browser(api: Api, open_browser: OpenBrowser) -> Browser:
    """One in which an operator is signed in who may do all that operators do."""
    browser = open_browser()
    page = await browser.sign_in(api.token(*OPERATOR, sub="operator"))
    assert page.status == 200
    return browser
