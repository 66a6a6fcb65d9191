"""Where webhooks may go: which URLs can be endpoints, and which addresses a host may have when one is sent.

A host's name is looked up when a webhook is sent, and the connection is made to the very address that was checked:
whoever answers for the name cannot answer otherwise a moment later.
"""

import asyncio
import socket
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from domain.errors import ActionRefused, ConfigError

MOST_URL_CHARACTERS = 2000
PORTS = {"http": 80, "https": 443}

_RANGES = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "carrier-grade": ("100.64.0.0/10",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "unspecified": ("0.0.0.0/8", "::/128"),
    # An address within an address would reach what the inner one stands for.
    "IPv4-mapped": ("::ffff:0:0/96", "::/96"),
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    "6to4": ("2002::/16", "192.88.99.0/24"),
    "Teredo": ("2001::/32",),
    # Answers any machine of that cloud with its own settings.
    "metadata": ("168.63.129.16/32",),
}
_GLOBAL_V6 = IPv6Network("2000::/3")


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
    outside = isinstance(found, IPv6Address) and found not in _GLOBAL_V6
    return "reserved" if outside or not found.is_global else None


def checked_url(text: str, *, private_allowed: bool) -> httpx.URL:
    """Read an endpoint's URL; ConfigError where nothing may be sent there, as far as it can be told by itself."""
    url = _read(text)
    if url.scheme not in PORTS:
        raise ConfigError(f"the endpoint's URL begins with {url.scheme!r}; it must be https:// or http://")
    if not url.host or "%" in url.host:
        raise ConfigError(
            "the endpoint's URL names no host that can be looked up; it must be as https://example.com/hooks"
        )
    if url.userinfo:
        raise ConfigError("the endpoint's URL has a user or a password in it; a webhook proves itself by its signature")
    if url.fragment:
        raise ConfigError("the endpoint's URL has a part after #, which is never sent; leave it out")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ConfigError(f"the endpoint's URL has the port {url.port}; it must be from 1 to 65535")
    if not private_allowed and (written := _written_address(url.host)) and (why := why_refused(written)):
        raise ConfigError(f"the endpoint's URL has the address {written}, which is {why}; it must be a public one")
    return url


def _read(text: str) -> httpx.URL:
    if len(text) > MOST_URL_CHARACTERS:
        raise ConfigError(f"the endpoint's URL has {len(text)} characters; at most {MOST_URL_CHARACTERS} are kept")
    try:
        url = httpx.URL(text)
        url.raw_host.decode("ascii").encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigError(f"the endpoint's URL cannot be read: {error}") from None
    return url


def _written_address(host: str) -> str | None:
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def port_of(url: httpx.URL) -> int:
    """Tell the port that a URL means."""
    return url.port or PORTS[url.scheme]


async def addresses_of(url: httpx.URL, *, private_allowed: bool) -> tuple[str, ...]:
    """Look up a URL's host, now; give its addresses, all of which may be connected to.

    Raises:
        ActionRefused: one of them is none that may be.
        OSError: the name is not known, or nobody says so.
    """
    host = url.raw_host.decode("ascii")
    found = await asyncio.get_running_loop().getaddrinfo(host, port_of(url), type=socket.SOCK_STREAM)
    addresses = tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    for address in addresses:
        why = None if private_allowed else why_refused(address)
        if why is not None:
            raise ActionRefused(f"{host} has the address {address}, which is {why}; it must be a public one")
    return addresses
