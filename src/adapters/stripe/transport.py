"""How requests to Stripe travel: the package's client on aiohttp, which costs a third of the one on httpx."""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import stripe

ANSWER = tuple[bytes, int, Mapping[str, str]]


class Transport(stripe.AIOHTTPClient):
    """Connections are kept and shared; the proxy is the environment's, and no cookie is kept.

    The environment is asked once: aiohttp would ask it, and the user's netrc, in a thread for each request.
    The package leaves a body that breaks off to its caller; here it is an APIConnectionError too.
    """

    def __init__(self, api_base: str, timeout_seconds: float) -> None:
        super().__init__(timeout=aiohttp.ClientTimeout(total=timeout_seconds))
        self._own = {"allow_redirects": False, **_proxy_for(api_base)}
        self._opened: aiohttp.ClientSession | None = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:  # not before the first request, for it belongs to the loop that runs
            verified = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=verified),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._opened

    def _get_request_args_kwargs(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | bytes | None
    ) -> tuple[tuple[str, str], dict[str, Any]]:
        """A redirect is followed nowhere: Stripe sends none, and a POST would be answered as a GET."""
        arguments, named = super()._get_request_args_kwargs(method, url, headers, post_data)
        return arguments, {**named, **self._own}

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: str | bytes | None = None,
    ) -> ANSWER:
        content, status, answered = await self.request_stream_async(method, url, headers, post_data)
        try:
            return await content.read(), status, answered
        except aiohttp.ClientError as error:
            self._handle_request_error(error)

    async def close_async(self) -> None:
        if self._opened is not None:
            await self._opened.close()


def _proxy_for(api_base: str) -> dict[str, Any]:
    """How a request goes through the proxy that the environment names for this address, if any."""
    address = urlsplit(api_base)
    proxy = getproxies().get(address.scheme)
    if proxy is None or proxy_bypass(address.hostname or ""):
        return {}
    parts = urlsplit(proxy)
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.username is None:
        return {"proxy": place}
    login = aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))
    return {"proxy": place, "proxy_headers": {"Proxy-Authorization": login}}
