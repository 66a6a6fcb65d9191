"""Requests to external hosts: each goes to an address that was looked up and checked at that moment.

The connection goes to the checked address, so the name server cannot return another one a moment later. The request
names the host, and the certificate must prove that name. Redirects are not followed, cookies are not stored,
proxies of the environment are not used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from time import monotonic
from typing import TypeVar

import httpx

from fivefold.domain.errors import ConflictError
from fivefold.usecases.shared.addresses import addresses_of, refusal_reason

Answer = TypeVar("Answer")

CONNECT_SECONDS = 4
"""How long to wait for a connection to one address."""


LONGEST_SECONDS = 30
"""Another try begins only if it would end within this time, as the calling worker holds a lease meanwhile."""
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "fivefold"}
"""Answers must be JSON and not compressed, as a short compressed answer could be of any length."""
FIRST_WAIT_SECONDS = 0.2
"""The wait before a second try; it doubles before each later one."""


@cache
def certificate_authorities() -> SSLContext:
    """Return the authorities that check certificates, cached: reading them takes longer than sending a request.

    A certificate proves the names that it lists as alternative names; its common name proves nothing (RFC 9525, 2).
    """
    context = httpx.create_ssl_context()
    context.hostname_checks_common_name = False
    return context


def open_transport() -> httpx.AsyncHTTPTransport:
    """Open connections for one host only: they are pooled by address, not by name.

    The bare transport follows no redirect, stores no cookie and knows no proxy.
    """
    return httpx.AsyncHTTPTransport(verify=certificate_authorities())


def request_to(
    address: str, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None
) -> httpx.Request:
    """Make a request to a checked address; it names the host, whose name the certificate must prove."""
    return httpx.Request(
        method,
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii"), **headers},
        content=content,
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "timeout": {"connect": CONNECT_SECONDS}},
    )


class NotAnsweredError(Exception):
    """The host gave no usable answer; the message says why, for people.

    Attributes: is_passing: whether the same request may be answered a moment later. tries: how often it was sent.
    """

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing
        self.tries = 0


@dataclass(frozen=True, kw_only=True)
class OutgoingRequest:
    """An outgoing request.

    Attributes:
        method: GET or POST.
        url: its URL, with https, or with http for an address of one's own network.
        headers: its headers; the host's name is added.
        content: the body.
        private_allowed: whether an address of one's own network is allowed.
        limit_seconds: the most time from looking up the host to the end of the answer.
        most_bytes: the most bytes of the answer.
    """

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    content: bytes | None
    private_allowed: bool
    limit_seconds: float
    most_bytes: int


PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered a moment later."""


async def answer_to(question: OutgoingRequest) -> bytes:
    """Send a request once; return the whole body of an answer with status 200.

    NotAnsweredError without such an answer within the limits of time and length.
    """
    try:
        async with asyncio.timeout(question.limit_seconds):
            addresses = await addresses_of(question.url, private_allowed=question.private_allowed)
            if question.url.scheme != "https" and any(refusal_reason(each) is None for each in addresses):
                raise NotAnsweredError(f"{question.url.host} is on the public internet, and may only be asked by https")
            async with open_transport() as transport:
                return await at_first(addresses, lambda address: _answer_of(transport, question, address))
    except TimeoutError:
        raise NotAnsweredError(f"no whole answer within {question.limit_seconds:g} s", is_passing=True) from None
    except ConflictError as error:
        raise NotAnsweredError(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise NotAnsweredError(f"{question.url.host} cannot be looked up: {error}", is_passing=True) from None
    except httpx.TransportError as error:
        words = f"{type(error).__name__}: {error}".rstrip(": ")
        raise NotAnsweredError(f"the connection failed, {words}", is_passing=True) from None


def answer_after_tries(question: OutgoingRequest, most_tries: int, wait: Callable[[float], None]) -> tuple[bytes, int]:
    """Send a request, and repeat it while it may be answered a moment later; NotAnsweredError if it never is.

    Args:
        question: the request; with several tries, sending it twice must change nothing.
        most_tries: the most tries, at least 1.
        wait: waits a number of seconds before another try.

    Returns:
        The bytes of the answer, and the number of tries.
    """
    end, number = monotonic() + LONGEST_SECONDS, 1
    while True:
        try:
            return asyncio.run(answer_to(question)), number
        except NotAnsweredError as error:
            error.tries = number
            is_last = number >= most_tries or not error.is_passing
            if is_last or monotonic() + question.limit_seconds > end:
                raise
        wait(FIRST_WAIT_SECONDS * 2 ** (number - 1))
        number += 1


async def at_first(addresses: Sequence[str], ask: Callable[[str], Awaitable[Answer]]) -> Answer:
    """Call *ask* with the first address that accepts a connection; the last one's error if none does."""
    for address in addresses[:-1]:
        try:
            return await ask(address)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await ask(addresses[-1])


async def _answer_of(transport: httpx.AsyncHTTPTransport, question: OutgoingRequest, address: str) -> bytes:
    """Send a request to one address; NotAnsweredError unless the status is 200, and for a compressed or long answer."""
    request = request_to(address, question.method, question.url, {**HEADERS, **question.headers}, question.content)
    response = await transport.handle_async_request(request)
    try:
        status = response.status_code
        if status != httpx.codes.OK:
            also = "; redirects are not followed" if httpx.codes.is_redirect(status) else ""
            raise NotAnsweredError(f"answered {status}{also}", is_passing=status in PASSING)
        return await whole_body(response, question.most_bytes)
    finally:
        await response.aclose()


async def whole_body(response: httpx.Response, most_bytes: int) -> bytes:
    """Read a body part by part; NotAnsweredError if it is compressed, or has too many bytes."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NotAnsweredError("the answer is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise NotAnsweredError(f"the answer has more than {most_bytes:,} bytes")
    return bytes(body)
