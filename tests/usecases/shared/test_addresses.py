"""Where webhooks may go: public addresses alone, whatever a name or a number looks like."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Event
from time import monotonic, sleep

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.usecases.shared.addresses import MOST_URL_CHARACTERS, addresses_of, checked_url, port_of, refusal_reason
from fivefold.usecases.shared.connections import NotAnsweredError, OutgoingRequest, answer_after_tries

REFUSED = {
    "loopback": ["127.0.0.1", "127.255.255.255", "::1"],
    "private": ["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00:ec2::254"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "carrier-grade": ["100.64.0.0", "100.100.100.200", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1"],
    "6to4": ["2002:7f00:1::", "192.88.99.1"],
    "Teredo": ["2001::1"],
    "metadata": ["168.63.129.16"],
    "reserved": [
        "192.0.0.0", "192.0.0.9", "192.0.0.10", "192.0.0.170", "192.0.0.192", "192.0.0.255",
        "2001:1::1", "2001:4:112::1", "2001:20::1", "3fff::1", "5f00::1", "100::1", "192.31.196.1",
        "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "203.0.113.9", "2001:db8::1", "4000::1",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("why", "address"), [(why, address) for why, all_ in REFUSED.items() for address in all_])
def test_what_is_not_public_is_refused(why: str, address: str) -> None:
    assert refusal_reason(address) == why


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "9.255.255.255", "11.0.0.0", "172.32.0.0", "100.63.255.255", "100.128.0.0",
                "128.0.0.1", "2606:2800:21f:cb07::1", "2a00:1450:4001::1"]
)  # fmt: skip
def test_what_is_public_is_not(address: str) -> None:
    assert refusal_reason(address) is None


@given(st.ip_addresses())
@example(ip_address("224.0.1.1"))
def test_only_global_addresses_that_are_no_groups_are_left(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert refusal_reason(str(address))


@given(st.ip_addresses(v=4))
def test_an_address_within_an_address_is_refused_whatever_it_is(address: IPv4Address) -> None:
    packed = int(address)
    for within in (0xFFFF << 32 | packed, packed, (0x64FF9B << 96) | packed, 0x2002 << 112 | packed << 80):
        assert refusal_reason(str(IPv6Address(within)))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.com", "begins with 'ftp'"),
        ("example.com/hooks", "begins with ''"),
        ("file:///etc/passwd", "begins with 'file'"),
        ("https:///hooks", "names no host"),
        ("http://%31%32%37.0.0.1/", "names no host"),
        ("http://[fe80::1%25eth0]/", "names no host"),
        ("https://ana:pw@example.com", "a user or a password"),
        ("https://ana@example.com", "a user or a password"),
        ("https://example.com/#part", "a part after #"),
        ("https://example.com:0/", "the port 0"),
        ("https://example.com:70000/", "the port 70000"),
        ("https://example.com/\n", "cannot be read"),
        ("https://a..b/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("http://0177.0.0.1/", "cannot be read"),
        ("http://" + "a" * 64 + ".example/", "cannot be read"),
        ("https://xn--/", "cannot be read"),
        ("https://example.com/" + "x" * MOST_URL_CHARACTERS, "at most 2,000"),
        ("http://127.0.0.1:8080/", "127.0.0.1, which is loopback"),
        ("http://[::ffff:10.0.0.1]/", "which is IPv4-mapped"),
        ("https://127.1/", "127.0.0.1, which is loopback"),
        ("https://127.0.0.1./", "127.0.0.1, which is loopback"),
        ("https://127。1/", "127.0.0.1, which is loopback"),
        ("https://2130706433/", "127.0.0.1, which is loopback"),
        ("https://0x7f000001/", "127.0.0.1, which is loopback"),
        ("https://0/", "0.0.0.0, which is unspecified"),
        ("https://10.1/", "10.0.0.1, which is private"),
        ("https://LocalHost/", "127.0.0.1, which is loopback"),
        ("https://localhost./", "127.0.0.1, which is loopback"),
        ("https://hooks.localhost/", "127.0.0.1, which is loopback"),
    ],
)
def test_a_url_that_can_be_no_endpoint_is_told_so(url: str, words: str) -> None:
    for what in ("the endpoint's URL", "FIVEFOLD_AGENT_URL"):
        with pytest.raises(ConfigError, match=f"^{what} .*{words}"):
            checked_url(url, private_allowed=False, what=what)


@pytest.mark.parametrize("host", ["8.8", "134744072", "localhost.example", "mylocalhost"])
def test_a_public_address_and_a_name_are_taken_however_they_are_written(host: str) -> None:
    assert checked_url(f"https://{host}/", private_allowed=False).host == host


def test_plain_http_is_refused_unless_an_operator_allows_it() -> None:
    with pytest.raises(ConfigError, match="which can be read in transit; it must be https"):
        checked_url("http://example.com/hooks", private_allowed=False)
    assert checked_url("http://example.com/hooks", private_allowed=False, http_allowed=True).scheme == "http"
    with pytest.raises(ConfigError, match="which is private"):
        checked_url("http://10.0.0.1/hooks", private_allowed=False, http_allowed=True)


def test_a_private_address_can_be_allowed() -> None:
    for url in ("http://127.0.0.1:8080/x", "http://127.1:8080/x", "http://localhost:8080/x"):
        assert str(checked_url(url, private_allowed=True)) == url


def test_ports_are_those_of_the_scheme_unless_written() -> None:
    urls = ["https://example.com", "http://example.com", "https://example.com:8443"]
    assert [port_of(httpx.URL(url)) for url in urls] == [443, 80, 8443]


def look_up(url: str, *, private_allowed: bool = False) -> tuple[str, ...]:
    return asyncio.run(addresses_of(httpx.URL(url), private_allowed=private_allowed))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.1", "[::1]"])
def test_however_this_machine_is_written_it_is_refused(host: str) -> None:
    with pytest.raises(ConflictError, match="which is loopback"):
        look_up(f"http://{host}/")
    assert set(look_up(f"http://{host}/", private_allowed=True)) <= {"127.0.0.1", "::1"}


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, 443)) for found in ("8.8.8.8", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(ConflictError, match=r"hooks\.example has the address 10\.0\.0\.7, which is private"):
        look_up("https://hooks.example/")
    answers.pop()
    assert look_up("https://hooks.example/") == ("8.8.8.8",)


def test_a_name_beyond_ascii_is_looked_up_as_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(host: str, port: int, *_: object, **__: object) -> list[object]:
        asked.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    look_up("https://münchen.example:8443/")
    assert asked == [("xn--mnchen-3ya.example", 8443)]


def test_a_name_server_that_hangs_is_waited_for_no_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks holds a lease meanwhile, which ended while the name server was waited for."""
    went_on = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: went_on.wait(20))
    question = OutgoingRequest(
        method="GET",
        url=httpx.URL("https://hooks.example/"),
        headers={},
        content=None,
        private_allowed=False,
        limit_seconds=0.1,
        most_bytes=1,
    )
    begun = monotonic()
    with pytest.raises(NotAnsweredError, match=r"^no whole answer within 0\.1 s$"):
        answer_after_tries(question, 1, sleep)
    assert monotonic() - begun < 15
    went_on.set()
