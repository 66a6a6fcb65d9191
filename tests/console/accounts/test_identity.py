"""Signing in by an identity provider that runs here, for real, and what the session is allowed then."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import IdentityError
from fivefold.domain.settings import OpenIdSettings
from fivefold.serving import authentication, console
from fivefold.store.tables.accounts import ConsoleSession, Token
from fivefold.usecases.accounts import openid
from fivefold.usecases.accounts.openid import Identity, IdentityProvider
from fivefold.usecases.accounts.organisations import add_member, end_membership, set_roles
from fivefold.usecases.accounts.sessions import find_session, sign_in_by_identity
from fivefold.usecases.accounts.tokens import revoke_token
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.console import visitors
from tests.console.visitors import LIMITS, Visitor, pages
from tests.pace import slowness
from tests.serving.v1.places import OURS, PLANS, Place

NAME = "nora@bank.example"
STRANGER = "stranger@bank.example"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider with one person whom the bank knows, and one whom it does not; a process of its own."""
    people = [{"sub": sub, "email": email, "email_verified": True} for sub, email in (("7", NAME), ("8", STRANGER))]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("oidc-provider-mock")
    claims = [word for person in people for word in ("--user-claims", json.dumps(person))]
    provider = subprocess.Popen(
        [program, "--port", str(port), "--require-nonce", "true", *claims],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(provider, address)
        yield address
    finally:
        provider.terminate()
        provider.communicate()


def wait_until_ready(provider: "subprocess.Popen[bytes]", address: str) -> None:
    until = time.monotonic() + 60 * slowness()
    while time.monotonic() < until:
        assert provider.poll() is None, provider.communicate()[1]
        with suppress(httpx.TransportError):
            httpx.get(address)
            return
        time.sleep(0.05)
    raise AssertionError(f"{address} does not answer")


@pytest.fixture
def visitor(place: Place, issuer: str, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """A person of the bank before the sign-in page, which has a way to the provider."""
    place.join(NAME, "publisher", "investigator")
    monkeypatch.setattr(openid, "SECONDS", 10 * slowness())
    settings = OpenIdSettings(issuer, "fivefold", "secret", OURS)
    app = pages()[1]
    monkeypatch.setattr(app, "_openid", settings)
    monkeypatch.setattr(app, "_provider", console._provider(settings, PLANS))
    return Visitor(place)


def sign_in(visitor: Visitor, subject: str = "7", target: str = "/console/search") -> Visitor:
    """Go to the provider, sign in there as a subject, and follow the way back."""
    visitor.go(target)
    (way,) = [link for link in visitor.links() if "identity" in link]
    visitor.send("GET", way)
    assert visitor.page.status_code == 303
    answer = httpx.post(visitor.page.headers["location"], data={"sub": subject}, timeout=30 * slowness())
    assert answer.status_code == 302
    return visitor.go(answer.headers["location"])


def context_of(place: Place) -> Context:
    return Context(place.engine, Actor(place.organisations[OURS], "cli:test"))


def test_a_member_signs_in_and_comes_to_the_page_that_they_asked_for(place: Place, visitor: Visitor) -> None:
    sign_in(visitor)
    assert visitor.page.url.path == "/console/search"
    assert "investigator" in visitor.go("/console/session").text  # of two roles the one that may do less
    assert NAME in visitor.text
    with Session(place.engine) as session:
        assert session.scalars(select(ConsoleSession.subject).where(ConsoleSession.subject.is_not(None))).all() == ["7"]
    log = place.good("GET", "/v1/audit", role="admin")
    details = [entry["details"] for entry in log if entry["action"] == "console.signed_in"]
    assert [each["subject"] for each in details if "subject" in each] == ["7"]


def test_the_cookie_of_the_attempt_ends_with_it(visitor: Visitor) -> None:
    visitor.go("/console/sign-in").send("GET", "/console/sign-in/identity")
    cookie = visitor.page.headers["set-cookie"]
    for part in ("__Host-fivefold-attempt=", "HttpOnly", "Secure", "SameSite=lax", "Max-Age=600"):
        assert part in cookie
    sign_in(visitor)
    assert "__Host-fivefold-attempt" not in visitor.cookies


def test_who_is_no_member_is_told_so_and_gets_no_session(place: Place, visitor: Visitor) -> None:
    sign_in(visitor, "8")
    assert visitor.page.status_code == 403
    assert f"{STRANGER} is not a member of bank" in visitor.text
    assert place.watching.sign_ins[-1] == "not a member"
    with Session(place.engine) as session:
        assert not session.scalars(select(ConsoleSession.id).where(ConsoleSession.subject.is_not(None))).all()
        assert not session.scalars(select(Token.id).where(Token.label.contains("identity"))).all()


def test_a_mistyped_organisation_does_not_blame_its_members(
    place: Place, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pages()[1]._openid
    assert settings is not None
    monkeypatch.setattr(pages()[1], "_openid", replace(settings, organisation="bnak"))
    sign_in(visitor)
    assert visitor.page.status_code == 403
    assert "This service has no organisation bnak. Its operator corrects" in visitor.text
    assert NAME not in visitor.text
    assert place.watching.sign_ins[-1] == "no such organisation"


def test_an_answer_is_of_the_browser_that_asked(visitor: Visitor) -> None:
    visitor.go("/console/sign-in").send("GET", "/console/sign-in/identity")
    answer = httpx.post(visitor.page.headers["location"], data={"sub": "7"}, timeout=30 * slowness())
    other = Visitor(visitor.place).go(answer.headers["location"])
    assert other.page.status_code == 403
    assert "another browser" in other.text
    assert visitor.go(answer.headers["location"]).page.status_code == 200
    again = visitor.go(answer.headers["location"])  # the code is used up, and the attempt is over
    assert again.page.status_code == 403


def test_a_member_goes_on_in_another_of_their_roles(place: Place, visitor: Visitor) -> None:
    sign_in(visitor).go("/console/session").submit("/take-role", role="publisher")
    assert "You continue in another role." in visitor.text
    assert visitor.go("/console/session").text.count("publisher") == 1
    visitor.submit("/take-role", role="admin")
    assert visitor.page.status_code == 409
    typed = Visitor(place).sign_in("investigator").go("/console/session")
    form = typed.forms()[0]
    assert typed.post("/console/session/take-role", {**form.fields, "role": "approver"}).page.status_code == 409


def test_the_session_ends_with_the_role_the_membership_and_its_token(place: Place, visitor: Visitor) -> None:
    of = context_of(place)
    (number,) = [member["id"] for member in place.good("GET", "/v1/members", role="admin") if member["name"] == NAME]
    sign_in(visitor)
    set_roles(of, number, ["publisher"])
    assert "Your token" in visitor.go("/console/session").text
    sign_in(visitor)
    with Session(place.engine) as session:
        (token,) = session.scalars(select(Token.id).where(Token.role == "publisher", Token.label.contains("identity")))
    revoke_token(place.engine, token)
    assert "Your token" in visitor.go("/console/session").text
    sign_in(visitor)
    end_membership(of, number)
    assert "Your token" in visitor.go("/console/session").text
    assert "is not a member" in sign_in(visitor).text


def test_one_account_is_one_member_whatever_its_address_becomes(place: Place, visitor: Visitor) -> None:
    """Who has two addresses does not ask as one and approve as another; an address given on is not its first owner."""
    settings = pages()[1]._openid
    assert settings is not None
    place.join("alias@bank.example", "approver")
    own = Identity("7", NAME)
    number = sign_in_by_identity(place.engine, settings, own)[1].credential.member_id
    others = {Identity("7", "alias@bank.example"): "account of another member"}
    others[Identity("9", NAME)] = "member of another account"
    for another, why in others.items():
        with pytest.raises(IdentityError) as refused:
            sign_in_by_identity(place.engine, settings, another)
        assert refused.value.why == why
    renamed = sign_in_by_identity(place.engine, settings, Identity("7", "nora.new@bank.example"))[1]
    assert (renamed.credential.member_id, renamed.member) == (number, NAME)
    assert number is not None
    end_membership(context_of(place), number)
    with pytest.raises(IdentityError, match="is not a member of bank"):
        sign_in_by_identity(place.engine, settings, own)
    add_member(context_of(place), NAME, ["investigator"])
    assert sign_in_by_identity(place.engine, settings, Identity("9", NAME))[1].credential.member_id == number


def test_one_administrator_alone_makes_nobody_who_signs_in(place: Place, visitor: Visitor) -> None:
    """They add a member by the name of an account of their own; another administrator is asked before it counts."""
    settings = pages()[1]._openid
    assert settings is not None
    own = Identity("8", STRANGER)
    member = place.good("POST", "/v1/members", {"name": STRANGER, "roles": ["investigator"]}, role="admin")["id"]
    assert "stranger@bank.example cannot sign in by this account yet" in sign_in(visitor, "8").text
    assert place.watching.sign_ins[-1] == "member of one administrator alone"
    assert visitor.page.status_code == 403
    set_roles(context_of(place), member, ["approver"])  # the operator's word about the roles says not who it is
    wanted = {"role": "approver", "plan": "unlimited", "member": member}
    number = place.good("POST", "/v1/token-requests", wanted, role="admin")["request"]["id"]
    with pytest.raises(IdentityError, match="another one approves it"):
        sign_in_by_identity(place.engine, settings, own)
    (another,) = place.join("second@bank.example", "admin")
    token = place.good("POST", f"/v1/token-requests/{number}/approve", token=another)["request"]["token_id"]
    assert sign_in_by_identity(place.engine, settings, own)[1].credential.member_id == member
    revoke_token(place.engine, token)
    assert sign_in_by_identity(place.engine, settings, own)[1].credential.role == "approver"  # once is enough
    place.good("POST", f"/v1/members/{member}/leave", role="admin")
    place.good("POST", "/v1/members", {"name": STRANGER, "roles": ["approver"]}, role="admin")
    with pytest.raises(IdentityError, match="by this account yet"):  # the token ended with the membership
        sign_in_by_identity(place.engine, settings, own)
    end_membership(context_of(place), member)
    add_member(context_of(place), STRANGER, ["approver"])
    assert sign_in_by_identity(place.engine, settings, own)[1].credential.member_id == member  # the operator said so
    of_operator = add_member(context_of(place), "third@bank.example", ["investigator"]).id
    place.good("PUT", f"/v1/members/{of_operator}/roles", {"roles": ["approver"]}, role="admin")
    with pytest.raises(IdentityError, match="by this account yet"):
        sign_in_by_identity(place.engine, settings, Identity("9", "third@bank.example"))


def test_sessions_of_a_role_stand_on_one_token_that_nobody_has(place: Place, visitor: Visitor) -> None:
    for _ in range(3):
        sign_in(visitor).go("/console/session").submit("/sign-out")
    with Session(place.engine) as session:
        assert len(session.scalars(select(Token.id).where(Token.label.contains("identity"))).all()) == 1
    assert find_session(place.engine, "") is None


def test_a_provider_that_is_away_leaves_the_token(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = OpenIdSettings("http://localhost:9", "fivefold", "secret", OURS)
    monkeypatch.setattr(pages()[1], "_provider", console._provider(gone, PLANS))
    visitor.go("/console/sign-in/identity?next=/console/search")
    assert visitor.page.status_code == 503
    assert "The identity provider does not answer" in visitor.text
    assert "localhost:9" not in visitor.text
    visitor.submit("/sign-in", token=visitor.place.tokens[OURS, "investigator"])
    assert visitor.page.url.path == "/console/search"


def test_a_provider_that_takes_too_long_leaves_the_token(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(authentication, "IDENTITY_SECONDS", 0.1)
    monkeypatch.setattr(IdentityProvider, "begin", lambda *_: over.wait(20))
    visitor.go("/console/sign-in/identity?next=/console/search")
    over.set()
    assert visitor.page.status_code == 503
    assert "The identity provider does not answer" in visitor.text


def test_where_the_limit_of_all_answers_is_shorter_there_is_a_page(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(visitors, "LIMITS", replace(LIMITS, seconds=0.1))
    monkeypatch.setattr(IdentityProvider, "begin", lambda *_: over.wait(20))
    visitor.go("/console/sign-in/identity")
    over.set()
    assert (visitor.page.status_code, visitor.page.headers["content-type"]) == (504, "text/html; charset=utf-8")
    assert "Content-Security-Policy" in visitor.page.headers
    assert "This took too long and was stopped. Load it again." in visitor.text


def test_a_form_that_took_too_long_may_have_been_done(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    visitor.go("/console/sign-in")
    monkeypatch.setattr(visitors, "LIMITS", replace(LIMITS, seconds=0.1))
    monkeypatch.setattr(console, "sign_in", lambda *_: over.wait(20))
    visitor.submit("/sign-in", token="any")
    over.set()
    assert visitor.page.status_code == 504
    assert "was stopped. It may have been done: check before you send it again." in visitor.text


def test_a_fault_of_the_program_is_a_page(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdentityProvider, "begin", lambda *_: {}["secret"])
    visitor.go("/console/sign-in/identity")
    assert (visitor.page.status_code, visitor.page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "This failed; the log of the service has the details. Try again in a while." in visitor.text
    assert "secret" not in visitor.page.text


def test_a_form_on_which_the_program_failed_may_have_been_done(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.go("/console/sign-in")
    monkeypatch.setattr(console, "sign_in", lambda *_: {}["secret"])
    visitor.submit("/sign-in", token="any")
    assert visitor.page.status_code == 500
    assert "has the details. Check whether it was done before you try again." in visitor.text


def test_without_a_provider_there_is_no_way_to_one(place: Place) -> None:
    visitor = Visitor(place).go("/console/sign-in")
    assert not [link for link in visitor.links() if "identity" in link]
    for path in ("/console/sign-in/identity", "/console/sign-in/identity/return?code=1&state=2"):
        assert visitor.go(path).page.status_code == 404
