"""The tricks by which an address leads to where only we can go."""

import ipaddress

import pytest

from adapters.standard_webhooks.addresses import AddressPolicy, AddressRefused, JudgingResolver

HTTPS = AddressPolicy()
HTTP = AddressPolicy(allow_http=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",  # no https
        "ftp://example.org/",
        "//example.org/",
        "example.org",
        "https://",
        "https:///path",
        "https://user@example.org/",
        "https://user:password@example.org/",
        "https://@example.org/",
        "https://example.org@169.254.169.254/",
        "https://example.org\\@169.254.169.254/",
        "https://example.org/#fragment",
        "https://example.org/#",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://example.org:port/",
        "https://exa mple.org/",
        "https://example.org/\r\nHost: internal",
        "https://example.org/\x00",
        "https://exämple.org/",
        "https://%31%32%37.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "https://[::1",
        # Loopback in every spelling.
        "https://127.0.0.1/",
        "https://127.8.9.10/",
        "https://127.1/",
        "https://127.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://127.1./",
        "https://0/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[::]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::127.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[64:ff9b:1::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
        # Private, shared, link-local, metadata, multicast and reserved ranges.
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://100.100.100.200/",
        "https://169.254.169.254/",
        "https://192.0.0.192/",
        "https://168.63.129.16/",
        "https://198.18.0.1/",
        "https://224.0.0.1/",
        "https://240.0.0.1/",
        "https://255.255.255.255/",
        "https://[fd00:ec2::254]/",
        "https://[fc00::1]/",
        "https://[fe80::1]/",
        "https://[fec0::1]/",
        "https://[ff02::1]/",
        "https://[ff0e::1]/",
        "https://[2001:db8::1]/",
        "https://[100::1]/",
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        HTTPS.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org/a/b?c=d",
        "https://EXAMPLE.org:8443/hook",
        "https://xn--exmple-cua.org/",
        "https://93.184.215.14/",
        "https://[2606:4700::1111]/",
        "https://[64:ff9b::5db8:d70e]/",
        "https://1password.com/",
        "https://example.org./",
    ],
)
def test_open(url: str) -> None:
    assert HTTPS.check_url(url).scheme == "https"


def test_http_only_where_it_is_allowed() -> None:
    assert HTTP.check_url("http://93.184.215.14/").scheme == "http"
    with pytest.raises(AddressRefused):
        HTTP.check_url("http://127.0.0.1/")


def test_what_the_operator_lists_is_open_and_nothing_beside_it() -> None:
    policy = AddressPolicy(allowed=[ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd12::/16")])
    for host in ("10.1.2.3", "[::ffff:10.1.2.3]", "[fd12::1]"):
        policy.check_url(f"https://{host}/")
    for host in ("10.2.0.1", "127.0.0.1", "[fd13::1]"):
        with pytest.raises(AddressRefused):
            policy.check_url(f"https://{host}/")


async def resolve(*addresses: str) -> list[str]:
    async def look_up(host: str, port: int) -> list[str]:
        return list(addresses)

    found = await JudgingResolver(HTTPS, look_up).resolve("example.org", 443)
    return [one["host"] for one in found]


async def test_a_name_is_open_only_if_all_its_addresses_are() -> None:
    assert await resolve("93.184.215.14", "2606:4700::1111") == ["93.184.215.14", "2606:4700::1111"]
    for private in ("10.0.0.1", "::1", "::ffff:169.254.169.254", "fe80::1%eth0"):
        with pytest.raises(AddressRefused):
            await resolve("93.184.215.14", private)
    with pytest.raises(OSError, match="no address"):
        await resolve()
