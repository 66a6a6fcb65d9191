"""Where webhooks may go: which URLs can be endpoints, and which addresses a host may have when one is sent.

A host's name is looked up when a webhook is sent, and the connection is made to the very address that was checked:
whoever answers for the name cannot answer otherwise a moment later.
"""

import asyncio
import socket
from ipaddress import ip_address

import httpx

from fivefold.domain.errors import ActionRefused, ConfigError
from fivefold.usecases.webhooks.address_ranges import why_refused

MOST_URL_CHARACTERS = 2000
PORTS = {"http": 80, "https": 443}


def checked_url(text: str, *, private_allowed: bool, http_allowed: bool = False) -> httpx.URL:
    """Read an endpoint's URL; ConfigError where nothing may be sent there, as far as the URL itself tells.

    Plain http, which others on the way can read, is for private networks and where an operator allows it.
    """
    url = _read(text)
    if url.scheme not in PORTS:
        raise ConfigError(f"the endpoint's URL begins with {url.scheme!r}; it must be https://")
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
    if url.scheme == "http" and not (http_allowed or private_allowed):
        raise ConfigError(
            "the endpoint's URL begins with http://, which others on the way can read; it must be https://, or an"
            " operator allows it at the machine: fivefold webhooks add --allow-http"
        )
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
