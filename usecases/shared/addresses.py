"""Destinations of outgoing requests: the allowed URLs, and the allowed addresses of a host at that moment.

A host's name is resolved when a request is sent, and the connection goes to the checked address: the name server cannot
return another one a moment later.

The ranges that are not on the public internet are listed explicitly, since the interpreter's own table differs by
release. Sources: IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890 and its updates), of
multicast addresses, of IPv6's global unicast allocation, and the addresses that clouds reserve for their own machines.
"""

import asyncio
import socket
from concurrent.futures import Future
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from threading import Thread
from typing import Any

import httpx

from fivefold.domain.errors import ConfigError, ConflictError

_RANGES = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "carrier-grade": ("100.64.0.0/10",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "unspecified": ("0.0.0.0/8", "::/128"),
    # An address that contains another one would reach the inner one's target.
    "IPv4-mapped": ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96"),
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    "6to4": ("2002::/16", "192.88.99.0/24"),
    "Teredo": ("2001::/32",),
    # This service returns each machine's own settings within that cloud.
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
"""The allocated unicast addresses of IPv6; the rest is reserved."""


@cache
def _ranges() -> tuple[tuple[str, IPv4Network | IPv6Network], ...]:
    return tuple((name, ip_network(text)) for name, several in _RANGES.items() for text in several)


def refusal_reason(address: str) -> str | None:
    """Return the name of the range for which an address is refused; None for a public address.

    >>> refusal_reason("10.1.2.3"), refusal_reason("93.184.215.14"), refusal_reason("::ffff:93.184.215.14")
    ('private', None, 'IPv4-mapped')
    """
    ip = ip_address(address)
    for name, network in _ranges():
        if ip.version == network.version and ip in network:
            return name
    return "reserved" if ip.version == 6 and ip not in _GLOBAL_V6 else None


MOST_URL_CHARACTERS = 2000
PORTS = {"http": 80, "https": 443}


def checked_url(
    text: str,
    *,
    private_allowed: bool,
    http_allowed: bool = False,
    what: str = "the endpoint's URL",
    or_else: str = "",
) -> httpx.URL:
    """Read a URL, which errors call *what*; ConfigError if nothing may be sent there, judging by the URL itself.

    Plain http, which can be read in transit, is for private networks, and must be allowed by an operator. *or_else* is
    added to the error, and says how to allow an address that is not public.
    """
    url = _read(text, what)
    if url.scheme not in PORTS:
        raise ConfigError(f"{what} begins with {url.scheme!r}; it must be https://")
    if not url.host or "%" in url.host:
        raise ConfigError(f"{what} names no host that can be looked up; use one such as https://example.com/hooks")
    if url.userinfo:
        raise ConfigError(f"{what} has a user or a password in it; leave them out")
    if url.fragment:
        raise ConfigError(f"{what} has a part after #, which is never sent; leave it out")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ConfigError(f"{what} has the port {url.port}; it must be from 1 to 65535")
    if not private_allowed and (ip_text := _written_address(url.host)) and (why := refusal_reason(ip_text)):
        raise ConfigError(f"{what} has the address {ip_text}, which is {why}; it must be a public one{or_else}")
    if url.scheme == "http" and not (http_allowed or private_allowed):
        raise ConfigError(
            f"{what} begins with http://, which can be read in transit; it must be https://, or an"
            " operator must allow it at the machine: fivefold webhooks add --allow-http"
        )
    return url


def _read(text: str, what: str) -> httpx.URL:
    """Parse a URL, which errors call *what*; ConfigError if it is too long or its host cannot be looked up."""
    if len(text) > MOST_URL_CHARACTERS:
        raise ConfigError(f"{what} has {len(text):,} characters; at most {MOST_URL_CHARACTERS:,} are allowed")
    try:
        url = httpx.URL(text)
        url.raw_host.decode("ascii").encode("idna")
        _ = url.host  # decodes an international name, which may be invalid
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigError(f"{what} cannot be read: {error}") from None
    return url


def _written_address(host: str) -> str | None:
    """Return the address that a host's text means without a look-up, as the system reads it; None for other names.

    The system takes `127.1` and `0x7f000001` for IPv4 addresses; `localhost` is this machine (RFC 6761).
    """
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return None


def port_of(url: httpx.URL) -> int:
    """Return the port of a URL, explicit or by its scheme."""
    return url.port or PORTS[url.scheme]


async def addresses_of(url: httpx.URL, *, private_allowed: bool) -> tuple[str, ...]:
    """Look up a URL's host, now; return its addresses, all of which may be connected to.

    Raises:
        ConflictError: one of them is not allowed.
        OSError: the name is unknown, or no name server answers.
    """
    host = url.raw_host.decode("ascii")
    records = await _look_up(host, port_of(url), type=socket.SOCK_STREAM)
    addresses = tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in records))
    for address in addresses:
        why = None if private_allowed else refusal_reason(address)
        if why is not None:
            raise ConflictError(f"{host} has the address {address}, which is {why}; it must be a public one")
    return addresses


class LookUpLoop(asyncio.SelectorEventLoop):
    """An event loop for a library that looks hosts up itself; the loop's end waits for no look-up."""

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        """Look a host up, as `socket.getaddrinfo` does."""
        return await _look_up(host, port, **more)


async def _look_up(host: Any, port: Any, **more: Any) -> Any:
    """Look a host up in a separate thread: the end of an event loop waits for the loop's own threads.

    So a name server that hangs delays no request beyond the request's limit.
    """
    result: Future[Any] = Future()
    result.set_running_or_notify_cancel()

    def answer() -> None:
        try:
            result.set_result(socket.getaddrinfo(host, port, **more))
        except Exception as error:  # noqa: BLE001 (the caller that waits for the addresses gets it)
            result.set_exception(error)

    Thread(target=answer, name="look-up", daemon=True).start()
    return await asyncio.wrap_future(result)
