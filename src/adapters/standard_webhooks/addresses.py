"""Where we may send: nobody who registers an address may reach what only we can reach.

A name is looked up for each connection, every address it has is judged, and the connection goes to one of
those that were judged: a name that changes its address in between gains nothing.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError where it has none."""

_NUMBER = re.compile("[0-9]+|0[xX][0-9a-fA-F]*")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is behind it
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291, deprecated; the same
_REFUSED: Sequence[Network] = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # RFC 8215: NAT64 of one's own
    ipaddress.IPv6Network("2001::/32"),  # Teredo: an IPv4 address of whoever's choice is in it
    ipaddress.IPv6Network("fec0::/10"),  # site-local, deprecated
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's platform, at a public address
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata is among them
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, deprecated
)


class Networks:
    """IP networks, from a text as `10.1.0.0/16,fd12::/32`. Raises ValueError."""

    __slots__ = ("networks",)

    def __init__(self, text: str = "") -> None:
        self.networks: tuple[Network, ...] = tuple(
            ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self.networks == other.networks

    def __hash__(self) -> int:
        return hash(self.networks)

    def __repr__(self) -> str:
        return f"Networks({','.join(map(str, self.networks))!r})"


class AddressRefused(Exception):
    """Nothing is sent there; the message says why."""


class AddressPolicy:
    """Which URLs and addresses are open. `allowed` are networks that are open although they are not public."""

    def __init__(self, *, allowed: Sequence[Network] = (), allow_http: bool = False) -> None:
        self._allowed = allowed
        self._schemes = ("https", "http") if allow_http else ("https",)

    def check_url(self, text: str) -> URL:
        """The URL, read by the parser of the client that sends. Raises AddressRefused."""
        if not text.isascii() or any(letter <= " " or letter in '\\"<>^`{|}\x7f' for letter in text):
            raise AddressRefused("it has a character that no URL has")
        try:
            url = URL(text)
            host = url.host
            url.port  # noqa: B018 - refuses a port that is none
        except ValueError as error:
            raise AddressRefused("it is no URL") from error
        if url.scheme not in self._schemes:
            raise AddressRefused(f"it does not begin with {' or '.join(f'{s}://' for s in self._schemes)}")
        if not host or "%" in host or url.port == 0:
            raise AddressRefused("it names no host")
        if "@" in re.split("[/?#]", text.partition("//")[2], maxsplit=1)[0]:
            raise AddressRefused("it holds credentials")
        if url.fragment or text.endswith("#"):
            raise AddressRefused("it has a fragment")
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
                # The resolver would take 127.1 or 2130706433 for an address; no top-level domain is a number.
                raise AddressRefused("its host is a number and no IP address") from None
        else:
            self.check_address(literal)
        return url

    def check_address(self, address: Address) -> None:
        """Raises AddressRefused."""
        embedded = _embedded(address)
        if any(
            one.version == network.version and one in network
            for one in (address, embedded)
            for network in self._allowed
        ):
            return
        refused = any(
            one.version == network.version and one in network
            for one in (address, embedded)
            for network in _REFUSED
        )
        if refused or not embedded.is_global or embedded.is_multicast or embedded.is_reserved:
            raise AddressRefused(f"{address} is not a public address")


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


async def look_up(host: str, port: int) -> Sequence[str]:
    """The system's own resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class JudgingResolver(AbstractResolver):
    """aiohttp's resolver: gives the addresses of a name only if all of them are open."""

    def __init__(self, policy: AddressPolicy, look_up: LookUp = look_up) -> None:
        self._policy = policy
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises AddressRefused, and OSError where the name has no address."""
        results = []
        for text in await self._look_up(host, port):
            address = ipaddress.ip_address(text.partition("%")[0])
            self._policy.check_address(address)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                    proto=socket.IPPROTO_TCP,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise OSError(None, f"{host} has no address")
        return results

    async def close(self) -> None:
        """Nothing is held."""
