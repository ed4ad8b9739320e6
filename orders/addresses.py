"""Internet addresses: networks, who is inside of one, and who asks when proxies of ours pass it on."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_networks(addresses: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list; a plain address is a network of one. Raises ``ValueError``."""
    return tuple(ip_network(part.strip(), strict=False) for part in addresses.split(",") if part.strip())


def is_inside(address: str | None, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of them; None and what is no address are not."""
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str | None:
    """Who asks: the other end of the connection, or where that is a trusted proxy, whom it speaks for.

    ``forwarded_for`` is ``X-Forwarded-For``, to which every proxy adds the address it was asked from at the end. So it is read
    from there, past proxies that are trusted too; what a client wrote into it itself is never reached. None where the proxy
    names what is no address.
    """
    if not forwarded_for.strip() or not is_inside(peer, trusted):
        return peer
    found: Address | None = None
    for claim in reversed(forwarded_for.split(",")):
        found = _parsed(_without_port(claim.strip()))
        if found is None or not any(found in network for network in trusted):
            break
    return None if found is None else str(found)


def _parsed(text: str | None) -> Address | None:
    """An address; an IPv4 one in the clothes of IPv6 as itself."""
    try:
        found = ip_address(text or "")
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _without_port(text: str) -> str:
    """Some proxies write ``192.0.2.1:4711`` and ``[2001:db8::1]:4711``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
