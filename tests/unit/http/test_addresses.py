"""Whose address a request is counted under."""

from typing import Any

import pytest

from entrypoints.http.addresses import ClientAddresses

TRUSTED = ("10.0.0.0/8", "127.0.0.1", "fd00::/8")


def scope(client: str | None, *forwarded: str) -> Any:
    return {
        "client": None if client is None else (client, 4711),
        "headers": [(b"x-forwarded-for", line.encode()) for line in forwarded],
    }


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # nobody whom we trust says so
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),  # the client has written 1.2.3.4
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.9.9.9, 127.0.0.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1:5050"], "198.51.100.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["é, ,;;"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8:1:2:3::4]:80"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        (None, ["198.51.100.1"], ""),
    ],
)
def test_the_address_behind_proxies(client: str | None, forwarded: list[str], address: str) -> None:
    assert ClientAddresses(TRUSTED).of(scope(client, *forwarded)) == address


def test_without_proxies_nothing_is_believed() -> None:
    assert ClientAddresses().of(scope("127.0.0.1", "198.51.100.1")) == "127.0.0.1"
