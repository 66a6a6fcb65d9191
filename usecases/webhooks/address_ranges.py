"""The addresses that are no place on the public internet, written out: the interpreter's own table differs by release.

Sources: IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890 and its updates), of multicast
addresses, of IPv6's global unicast allocation, and the addresses that clouds keep for their own machines.
"""

from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

_RANGES = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "carrier-grade": ("100.64.0.0/10",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "unspecified": ("0.0.0.0/8", "::/128"),
    # An address within an address would reach what the inner one stands for.
    "IPv4-mapped": ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96"),
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    "6to4": ("2002::/16", "192.88.99.0/24"),
    "Teredo": ("2001::/32",),
    # Answers any machine of that cloud with its own settings.
    "metadata": ("168.63.129.16/32", "fd00:ec2::254/128"),
    "reserved": (
        "192.0.0.0/24",  # protocol assignments, with those that some registries call reachable (RFC 6890, 7723, 8155)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT (RFC 7450)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "240.0.0.0/4",  # the former class E, and the broadcast address
        "100::/64",  # discard only (RFC 6666)
        "100:0:0:1::/64",  # dummy prefix (RFC 9780)
        "2001::/23",  # protocol assignments (RFC 2928): ORCHID, benchmarks, drones and others
        "2001:db8::/32",  # documentation (RFC 3849)
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
    ),
}
_GLOBAL_V6 = ip_network("2000::/3")
"""All that is allocated of IPv6's unicast addresses; the rest is reserved."""


@cache
def _ranges() -> tuple[tuple[str, IPv4Network | IPv6Network], ...]:
    return tuple((name, ip_network(written)) for name, several in _RANGES.items() for written in several)


def why_refused(address: str) -> str | None:
    """Name the range for which an address is refused; None for a public one.

    >>> why_refused("10.1.2.3"), why_refused("93.184.215.14"), why_refused("::ffff:93.184.215.14")
    ('private', None, 'IPv4-mapped')
    """
    found = ip_address(address)
    for name, network in _ranges():
        if found.version == network.version and found in network:
            return name
    return "reserved" if found.version == 6 and found not in _GLOBAL_V6 else None
