"""Which address a request comes from, behind proxies too."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from litestar.types import Scope

# One subscriber has a network of this size, and all addresses of it (RFC 6177).
_IPV6_SUBSCRIBER_BITS = 64


class ClientAddresses:
    def __init__(self, trusted_proxies: Sequence[str] = ()) -> None:
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(proxy) for proxy in trusted_proxies]

    def of(self, scope: Scope) -> str:
        """Who sent this: an IPv4 address, or the network of an IPv6 subscriber.

        Each proxy writes at the right of `X-Forwarded-For` whom it had the request from. So the list is read
        from there for as long as the writer is a proxy of ours: what a client has put into it counts nothing.
        """
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:  # a Unix socket
            return ""
        if self._trusted and self._is_trusted(address):
            lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            for entry in reversed(b",".join(lines).decode("latin-1").split(",")):
                forwarded = _parse(entry)
                if forwarded is None:
                    break
                address = forwarded
                if not self._is_trusted(address):
                    break
        if isinstance(address, IPv6Address):
            return str(ip_network((address, _IPV6_SUBSCRIBER_BITS), strict=False))
        return str(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it, with or without a port; an IPv4 one within IPv6 as what it is."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
