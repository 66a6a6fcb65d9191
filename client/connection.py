"""The connection to a service: headers, attempts, waits, errors, answers."""

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import ValidationError

from fivefold.client.calls import Call, Repeat, body_of, query_of
from fivefold.client.errors import NoAnswerError, NotSentError, UnexpectedAnswerError, error_of, retry_after

Row = TypeVar("Row")
ReadPage = Callable[[str | None], tuple[Sequence[Row], str | None]]
"""Takes the start of a page (None for the first); returns its rows and the start of the next (None on the last page).
"""


class Pages(Iterator[Row], Generic[Row]):
    """The rows of a list, one after another; a page is requested when its first row is needed.

    An iteration returns every row that existed at its start once, in one order, whatever is added meanwhile.

    >>> rows = Pages(lambda after: ([1, 2], "2") if after is None else ([3], None))
    >>> rows.page(), rows.more, list(rows), rows.more
    ([1, 2], True, [3], False)
    """

    def __init__(self, read: ReadPage[Row]) -> None:
        """Create the list over *read*; nothing is requested yet."""
        self._read = read
        self._rows: deque[Row] = deque()
        self._after: str | None = None
        self._ended = False

    def __next__(self) -> Row:
        """Return the next row; an empty page may be followed by others."""
        while not self._rows and not self._ended:
            self._read_next()
        if not self._rows:
            raise StopIteration
        return self._rows.popleft()

    @property
    def more(self) -> bool:
        """Whether rows may remain; true until a page without a next one was read."""
        return bool(self._rows) or not self._ended

    def page(self) -> list[Row]:
        """Return the rest of the current page, or the next page; empty at the end of the list."""
        if not self._rows and not self._ended:
            self._read_next()
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def _read_next(self) -> None:
        rows, self._after = self._read(self._after)
        self._rows.extend(rows)
        self._ended = self._after is None


Answer = TypeVar("Answer")
KEY: Final = "Idempotency-Key"
LONGEST_KEY: Final = 200
CLOSED: Final = "the client is closed; allowed: calls before its `close()` or the end of its `with`"
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Errors that arise before a request leaves: the service cannot have acted."""
OUT_OF_REACH: Final = frozenset({502, 504})
"""Statuses of a proxy or a service that does not know the outcome of the request: it may have been carried out."""
FIRST_WAIT_SECONDS: Final = 0.25
"""The wait before the second attempt; it doubles before each later one, plus up to half as much at random."""


LONGEST_TIMEOUT_SECONDS: Final = 1_000_000
"""The longest timeout that a socket accepts: its milliseconds are a 32-bit number."""
UNUSED_SECONDS: Final = 4.0
"""How long an unused connection is kept: the service closes one after five seconds, and a call sent at that moment has
no answer."""


class Connection:
    """A service, a token, and the limits of repeats.

    Attributes:
        attempts: the most times a call is sent.
        longest_wait_seconds: if the service asks for a longer wait, its error is raised instead.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float,
        attempts: int,
        longest_wait_seconds: float,
        transport: httpx.BaseTransport | None,
    ) -> None:
        """Create the connection without opening it; *transport* replaces the network, for tests.

        Raises:
            NotSentError: an invalid address or token, which is not shown; fewer than 1 attempt; no time for one, or a
                time without end; or a wait below 0.
        """
        _require_address(url)
        if not _is_visible(token):
            raise NotSentError(
                "the token is empty, or has a character that no token has, such as the end of a line; "
                "allowed: the token as `fivefold tokens create` printed it"
            )
        if not isinstance(attempts, int) or attempts < 1:
            raise NotSentError(f"attempts is {attempts!r}; allowed: 1 and more")
        if not isinstance(timeout_seconds, int | float) or not 0 < timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
            allowed = f"more than 0, up to {LONGEST_TIMEOUT_SECONDS:,}"
            raise NotSentError(f"timeout_seconds is {timeout_seconds!r}; allowed: {allowed}")
        if not isinstance(longest_wait_seconds, int | float) or not longest_wait_seconds >= 0:
            raise NotSentError(f"longest_wait_seconds is {longest_wait_seconds!r}; allowed: 0 and more")
        self.attempts = attempts
        self.longest_wait_seconds = longest_wait_seconds
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._transport = transport
        self._http = self._opened()
        self._process = os.getpid()

    def __repr__(self) -> str:
        """Name the service, never the token."""
        return f"Connection({self._url!r})"

    def close(self) -> None:
        """Close all open connections."""
        self._http.close()

    def _opened(self) -> httpx.Client:
        """Create the pool of connections; none is opened yet."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=UNUSED_SECONDS)
        trusted = httpx.create_ssl_context()
        trusted.hostname_checks_common_name = False  # alternative names alone prove a host: RFC 9525, 2
        return httpx.Client(
            headers=headers, timeout=self._timeout_seconds, limits=limits, transport=self._transport, verify=trusted
        )

    def ask(
        self,
        call: Call[Answer],
        parts: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
        key: str | None = None,
    ) -> Answer:
        """Make a call, repeated as often as is safe.

        Args:
            call: the route.
            parts: the variable parts of its path.
            query: its parameters; None values are left out.
            body: sent as JSON; None for no body.
            key: the caller's own `Idempotency-Key`; generated if the call needs one.

        Raises:
            ClientError: any error of `fivefold.client.errors`.
        """
        return self._read(call, self._send(call, parts or {}, query_of(query or {}), body, key))  # type: ignore[no-any-return]  # the form of the call is the answer's

    def pages(
        self,
        call: Call[Answer],
        parts: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        limit: int | None = None,
    ) -> Pages[Answer]:
        """Read a list page by page, *limit* rows at a time; nothing is requested before the first row is read."""
        parameters = query_of({**(query or {}), "limit": limit})

        def read(after: str | None) -> tuple[Sequence[Answer], str | None]:
            response = self._send(
                call, parts or {}, parameters if after is None else {**parameters, "after": after}, None, None
            )
            return self._read(call, response), _after(response)

        return Pages(read)

    def _send(
        self, call: Call[Any], parts: Mapping[str, object], query: Mapping[str, str], body: object, key: str | None
    ) -> httpx.Response:
        """Send a request until it is answered or may not be repeated; the body and the key stay the same."""
        content = None if body is None else body_of(body)
        headers = _headers_of(call, content, key)
        repeatable = call.repeat is Repeat.ALWAYS or KEY in headers
        may_be_done = False
        url = f"{self._url}{call.path_of(parts)}"
        for number in range(1, self.attempts + 1):
            is_last = number == self.attempts
            try:
                response = self._exchange(call, url, query, content, headers)
            except NotSentError as error:
                if not may_be_done:
                    raise
                raise NoAnswerError(
                    f"{call.method} {call.path} had no answer, and {error}", may_be_done=True
                ) from error
            except httpx.TransportError as error:
                may_be_done |= call.method != "GET" and not isinstance(error, NOT_SENT)
                if is_last or not (repeatable or isinstance(error, NOT_SENT)):
                    words = f"{call.method} {call.path} had no answer from {self._url}"
                    cause = str(error) or type(error).__name__
                    raise NoAnswerError(f"{words}: {cause}", may_be_done=may_be_done) from error
                wait: float | None = None
            else:
                if response.is_success:
                    return response
                may_be_done |= call.method != "GET" and response.status_code in OUT_OF_REACH
                wait = retry_after(response)
                if is_last or not self._may_repeat(response, repeatable=repeatable):
                    raise error_of(response, may_be_done=may_be_done)
            time.sleep(_wait(number) if wait is None else wait)
        raise AssertionError("the last attempt gives an answer or an error")

    def _exchange(
        self,
        call: Call[Any],
        url: str,
        query: Mapping[str, str],
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        """Send a request once, by connections that no other process has.

        A forked process has its parent's open connections, and both would read each other's answers: the level of one
        customer as that of another.
        """
        if self._http.is_closed:
            raise NotSentError(CLOSED)
        if self._process != os.getpid():
            self._http, self._process = self._opened(), os.getpid()
        try:
            return self._http.request(call.method, url, params=dict(query), content=content, headers=dict(headers))
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NotSentError(f"{call.method} {call.path} cannot be sent: {error}") from error
        except RuntimeError as error:  # httpx has no error of its own for a client that another thread closes
            if not self._http.is_closed:
                raise
            raise NotSentError(CLOSED) from error
        except httpx.DecodingError as error:
            raise UnexpectedAnswerError(f"{call.method} {call.path} had an unreadable answer: {error}") from error

    def _may_repeat(self, response: httpx.Response, *, repeatable: bool) -> bool:
        """Return whether a refusal is temporary: after 429 and 503 nothing was done, after 504 it may have been.

        409 is final, unless it says when to come again: then another attempt with the same key is under way.
        """
        wait = retry_after(response)
        if (wait or 0) > self.longest_wait_seconds:
            return False
        if response.status_code in {409, 429}:
            return wait is not None
        return response.status_code == 503 or (repeatable and response.status_code in OUT_OF_REACH)

    def _read(self, call: Call[Any], response: httpx.Response) -> Any:
        """Read an answer by the call's type; a call without an answer type has no body to read."""
        try:
            return call.form.validate_json(response.content or b"null")
        except ValidationError as error:
            raise UnexpectedAnswerError(
                f"{call.method} {call.path} was answered in an unexpected form: {error}"
            ) from error


def _require_address(url: str) -> None:
    """Raise NotSentError if a URL names no service over HTTP."""
    try:
        # None comes from an environment variable that is not set.
        address = httpx.URL(url) if isinstance(url, str) else httpx.URL()
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise NotSentError(f"url is {url!r}; allowed: the address of a service, such as https://scores.example.com")
    if address.userinfo:
        raise NotSentError(
            "url has a name or a password before the host, which would be sent in place of the token;"
            " allowed: the address alone, such as https://scores.example.com"
        )
    if "?" in url or "#" in url:
        raise NotSentError(
            "url has a ? or a #, and what follows it would take in the path of every call;"
            " allowed: the address alone, such as https://scores.example.com"
        )


def _headers_of(call: Call[Any], content: bytes | None, key: str | None) -> dict[str, str]:
    """Write the headers of a call, with its key if it has or needs one; NotSentError for a key that none can hold."""
    if key is not None and not (_is_visible(key) and len(key) <= LONGEST_KEY):
        raise NotSentError(f"key is {key!r}; allowed: 1 to {LONGEST_KEY} visible ASCII characters")
    headers = {} if content is None else {"Content-Type": "application/json"}
    if call.repeat is Repeat.BY_KEY or key is not None:
        headers[KEY] = secrets.token_urlsafe(24) if key is None else key
    return headers


def _is_visible(text: object) -> bool:
    """Return whether a header can hold a value: a text of visible ASCII characters, at least one."""
    return isinstance(text, str) and bool(text) and all("!" <= letter <= "~" for letter in text)


def _after(response: httpx.Response) -> str | None:
    """Read where the next page begins. The link itself is not followed: the token goes to no other address."""
    link = response.links.get("next")
    if not link:
        return None
    query = parse_qs(urlsplit(link["url"]).query)
    if "after" not in query:
        raise UnexpectedAnswerError("an answer has a link to a next page, without the parameter after")
    return query["after"][0]


def _wait(number: int) -> float:
    return FIRST_WAIT_SECONDS * 2.0 ** (number - 1) * (1 + secrets.randbelow(500) / 1000)
