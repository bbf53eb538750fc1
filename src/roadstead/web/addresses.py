"""Where a caller is, when proxies stand in between."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings are read with this module: they do not wait for a web framework
    from litestar.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, by comma. Raises `ValueError` that names what is neither."""
    return tuple(_read_network(part.strip()) for part in text.split(",") if part.strip())


def _read_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"'{text}' is neither an address nor a network such as 10.0.0.0/8") from error


def contains(networks: tuple[Network, ...], address: str) -> bool:
    """Whether the address is in one of them; nowhere when it is none."""
    place = _read(address)
    return place is not None and any(place in network for network in networks)


def address_in(scope: "Scope", trusted: tuple[Network, ...]) -> str:
    """The address of whoever sent a request; nothing when the connection does not say."""
    client = scope.get("client")
    if client is None:
        return ""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return find_address(client[0], lines, trusted)


def find_address(peer: str, forwarded_for: Iterable[str], trusted: tuple[Network, ...]) -> str:
    """The address of the caller: the peer of the connection, or who stands behind the proxies we trust.

    Each proxy adds to X-Forwarded-For whom it heard, at the end; what stands before the first that is not ours can be
    made up, so it is not looked at.
    """
    place = _read(peer)
    if place is None:
        return peer
    hops = [hop for line in forwarded_for for hop in line.split(",")]
    while hops and any(place in network for network in trusted):
        behind = _read(hops.pop())
        if behind is None:
            break
        place = behind
    return str(place)


@lru_cache(maxsize=4096)
def _read(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        place = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
        return place.ipv4_mapped
    return place
