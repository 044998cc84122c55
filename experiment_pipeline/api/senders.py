"""Senders: whom a request or a connection comes from, as far as limits are concerned."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPV6_PREFIX = 64  # bits; the rest is one subscriber's own to choose
UNKNOWN = "unknown"


@lru_cache(maxsize=4_096)
def sender_of(host: str) -> str:
    """Return the sender that an address belongs to: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
    return str(address)


class Proxies:
    """The proxies whose `X-Forwarded-For` is believed; their own connections belong to many senders."""

    def __init__(self, networks: str) -> None:
        listed = networks.split(",") if networks != "none" else []
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(each.strip()) for each in listed]

    def has(self, host: str) -> bool:
        """Whether an address is a listed proxy's."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
