"""Requests that no page makes: each is refused in words, and none is a fault of the program."""

import asyncio
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.console.rulesets import editor
from fivefold.console.table import VIEWS
from fivefold.console.visit import FREE_TEXT, PUT_IN, written_in
from fivefold.domain.errors import ConfigError, LockedError, StoreError, UnknownOutcomeError
from fivefold.serving import console
from fivefold.serving.authentication import RateLimiter
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.responses import ApiError
from fivefold.store.tables.accounts import ConsoleSession, Member
from fivefold.usecases.accounts import sessions
from fivefold.usecases.accounts.sessions import IDLE_US
from fivefold.usecases.levels import overrides
from tests.console.test_rights import PARTS
from tests.console.visitors import ORIGIN, Visitor, filled_forms, pages
from tests.serving.v1.places import LIMITS, OURS, Place

ACME = "/console/entities/company/acme"
TEMPLATES = [*(Path(__file__).parent.parent.parent / "console").rglob("*.html")]


@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5000, "-1", "x", "\u0663"])
def test_a_number_that_no_override_has_is_refused(place: Place, number: str) -> None:
    visitor = Visitor(place).sign_in("approver").go("/console/session")
    form_token = visitor.forms()[0].fields["form_token"]
    for action in ("approve-override", "refuse-override", "revoke-override"):
        visitor.post(f"{ACME}/{action}", {"form_token": form_token, "override": number, "reason": "x"})
        assert visitor.page.status_code == 422


@pytest.mark.parametrize("action", ["tag", "end-tag", "override"])
def test_an_empty_form_about_a_customer_that_is_not_there_is_not_found(investigator: Visitor, action: str) -> None:
    form_token = investigator.go("/console/session").forms()[0].fields["form_token"]
    investigator.post(f"/console/entities/customer/nobody/{action}", {"form_token": form_token})
    assert investigator.page.status_code == 404
    assert "nobody" in investigator.text


def test_a_token_that_is_none_waits_for_no_writer(place: Place) -> None:
    with place.engine.connect() as writer:
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        visitor = Visitor(place).go("/console/sign-in").submit("/sign-in", token="unknown")
    assert visitor.page.status_code == 403


def test_an_origin_that_is_no_address_is_another_site(place: Place) -> None:
    visitor = Visitor(place).send("POST", "/console/sign-in", data={"token": "x"}, headers={"origin": "http://["})
    assert visitor.page.status_code == 403


def test_a_place_that_is_nested_too_deep_is_refused(investigator: Visitor) -> None:
    after = urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=")
    assert investigator.send("GET", f"/console/portfolio?after={after}").page.status_code == 422


def test_octets_beyond_ascii_do_not_break_the_second_try(place: Place) -> None:
    app, console = pages()
    console._engine = place.engine
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    headers = [(b"host", b"bank.example"), (b"sec-fetch-site", b"cross-site")]
    scope = {"type": "http", "method": "GET", "path": "/console/queue", "raw_path": b"/console/queue",
             "query_string": b"a=\xc3\xa4", "headers": headers, "http_version": "1.1", "scheme": "https",
             "server": ("x", 1), "client": ("x", 1), "root_path": ""}  # fmt: skip
    edge = ErrorMiddleware(app, place.watching, LIMITS.seconds)  # type: ignore[arg-type]  # stands in
    asyncio.run(edge(scope, receive, send))  # type: ignore[arg-type]  # stands in for a server
    assert sent[0]["status"] == 200


def test_what_may_have_been_stored_is_not_called_unchanged(
    investigator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = overrides.request_override

    def kept(*args: object, **more: object) -> None:
        stored(*args, **more)  # type: ignore[arg-type]  # passed on as they are
        raise UnknownOutcomeError("gone")

    monkeypatch.setattr(overrides, "request_override", kept)
    investigator.go(ACME).submit("/override", level="high", reason="kept")
    assert investigator.page.status_code == 504
    assert "Nothing was changed" not in investigator.text
    assert "may have been done" in investigator.text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreError("gone"), "The database does not answer. Nothing was changed"),
        (
            LockedError("another transaction held a lock"),
            "Another transaction locked the database for too long. Nothing",
        ),
    ],
)
def test_a_page_tells_a_lock_from_a_database_that_does_not_answer(
    investigator: Visitor, monkeypatch: pytest.MonkeyPatch, error: StoreError, words: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(overrides, "request_override", fails)
    investigator.go(ACME).submit("/override", level="high", reason="kept")
    assert investigator.page.status_code == 503
    assert words in investigator.text


def test_a_sign_out_that_failed_keeps_the_cookie(investigator: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(sessions, "sign_out", fails)
    investigator.go("/console/session").submit("/sign-out")
    assert investigator.page.status_code == 503
    assert investigator.place.watching.causes[-1] == "gone"
    assert "set-cookie" not in investigator.page.headers


@pytest.mark.parametrize(
    "notice", ["override-approved", "override-approved.", "override-approved.0123456789abcdef", "x.é"]
)
def test_a_link_cannot_say_that_something_was_done(investigator: Visitor, notice: str) -> None:
    assert "The override is approved" not in investigator.go(f"{ACME}?notice={notice}").text
    assert investigator.page.status_code == 200


def test_an_override_is_decided_on_the_page_of_its_own_customer(place: Place, investigator: Visitor) -> None:
    place.good("PUT", "/v1/entities/customer/other", {}, role="app")
    investigator.go(ACME).submit("/override", level="high", reason="mine")
    visitor = Visitor(place).sign_in("approver").go(ACME)
    form = next(form for form in visitor.forms() if form.action.endswith("/approve-override"))
    visitor.post("/console/entities/customer/other/approve-override", form.fields)
    assert visitor.page.status_code == 404
    assert "belongs to another customer" in visitor.text


def test_a_form_that_is_sent_twice_asks_once(place: Place, investigator: Visitor) -> None:
    for _ in range(3):
        investigator.go(ACME).submit("/override", level="high", reason="twice", until="2099-01-01")
    asked = place.good("GET", "/v1/entities/company/acme/overrides", role="investigator")
    assert len([line for line in asked if line["reason"] == "twice"]) == 1


def test_a_form_after_the_end_of_the_session_says_that_nothing_was_changed(investigator: Visitor) -> None:
    form = next(form for form in investigator.go(ACME).forms() if form.action.endswith("/tag"))
    investigator.go("/console/session").submit("/sign-out")
    investigator.post(form.action, {**form.fields, "tag": "late"})
    assert "Your session has ended, and nothing was changed." in investigator.text
    assert investigator.forms() == []
    assert f"/console/sign-in?next={ACME.replace('/', '%2F')}" in investigator.page.text


LONG = "Three pages of reasons & <b>figures"


@pytest.mark.parametrize("ends", ["before it is sent", "and another one began", "unused for too long"])
def test_what_was_written_is_not_lost_with_the_session(place: Place, ends: str) -> None:
    visitor = Visitor(place).sign_in("investigator").go(ACME)
    form = next(form for form in visitor.forms() if form.action.endswith("/override"))
    if ends == "unused for too long":
        with Session(place.engine) as session, session.begin():
            session.execute(update(ConsoleSession).values(last_used_us=ConsoleSession.last_used_us - IDLE_US))
    else:
        visitor.go("/console/session").submit("/sign-out")
    if ends == "and another one began":
        visitor.sign_in("investigator")
    visitor.post(form.action, {**form.fields, "level": "high", "reason": LONG, "until": "2099-01-01"})
    assert "Your text: copy it" in visitor.text
    assert "Three pages of reasons &amp; &lt;b&gt;figures</textarea>" in visitor.page.text
    assert sorted(re.findall(r'for="written-\d">(\w+)</label>', visitor.page.text)) == ["Level", "Reason", "Until"]
    assert "high</textarea>" in visitor.page.text
    assert "2099-01-01</textarea>" in visitor.page.text
    assert form.fields["form_token"] not in visitor.page.text


@pytest.mark.parametrize("ends", ["member left", "role lost"])
def test_a_form_whose_sender_goes_while_it_is_sent_does_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    visitor = Visitor(place).sign_in("investigator").go(ACME)
    read_form = console._form
    member = Member.id == place.members[OURS, "investigator"]

    async def slowly_read_form(*arguments: Any) -> Any:
        form = await read_form(*arguments)
        with Session(place.engine) as session, session.begin():
            gone = {"left_us": 1} if ends == "member left" else {"roles": ["commercial"]}
            session.execute(update(Member).where(member).values(**gone))
        return form

    monkeypatch.setattr(console, "_form", slowly_read_form)
    visitor.submit("/override", level="high", reason=LONG, until="2099-01-01")
    assert "Your session has ended, and nothing was changed." in visitor.text
    assert "Three pages of reasons &amp; &lt;b&gt;figures</textarea>" in visitor.page.text
    asked = place.good("GET", "/v1/entities/company/acme/overrides", role="admin")
    assert LONG not in [line["reason"] for line in asked]


def test_signing_in_leaves_the_page_with_what_was_written_open(investigator: Visitor) -> None:
    investigator.go(ACME)
    investigator.cookies.clear()
    page = investigator.submit("/override", reason=LONG).page.text
    assert "this page stays" in page
    assert "Your text: copy it before you leave this page" in page
    assert page.index("Three pages of reasons") < page.index('target="_blank">Sign in</a>')
    assert page.count("autofocus") == page.count('<p class="problem" role="alert" tabindex="-1" autofocus>') == 1
    page = investigator.go("/console/sign-in").page.text
    assert ("_blank" in page, page.count("autofocus")) == (False, 1)


def test_what_pages_put_into_forms_is_not_given_back_as_written() -> None:
    """A hidden field that no other form has as one to be filled in, and every secret; filters are in the address."""
    texts = "".join(path.read_text("utf-8") for path in TEMPLATES)
    texts = re.sub(r'<form action="[^"]*" class="filters">.*?</form>', "", texts, flags=re.DOTALL)
    hidden, others = set[str](), set[str]()
    for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", texts):
        names = hidden if 'type="hidden"' in tag or 'type="password"' in tag else others
        names |= set(re.findall(r' name="(\w+)"', tag))
    assert not written_in(dict.fromkeys(hidden - others, "x"))
    assert written_in(dict.fromkeys(others - PUT_IN, "x"))
    assert not others & PUT_IN


@pytest.mark.parametrize(
    ("place_of", "name", "error", "status"),
    [
        (console, "find_session", StoreError("away"), 503),
        (console, "find_session", UnknownOutcomeError("away"), 504),
        (RateLimiter, "require", ApiError(429, "Too many requests in a minute for your plan"), 429),
    ],
)
def test_what_was_written_is_not_lost_where_nothing_can_be_asked_now(
    investigator: Visitor, monkeypatch: pytest.MonkeyPatch, place_of: object, name: str, error: Exception, status: int
) -> None:
    investigator.go("/console/entities/company/acme")

    def refuses(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(place_of, name, refuses)
    investigator.submit("/override", level="high", reason="A court\nasked for <it>.")
    assert investigator.page.status_code == status
    assert investigator.place.watching.causes[-1] == ("away" if isinstance(error, StoreError) else None)
    assert "A court\nasked for &lt;it&gt;.</textarea>" in investigator.page.text


def test_what_was_written_is_not_lost_where_a_person_may_not_send_it(investigator: Visitor) -> None:
    token = investigator.go(ACME).forms()[0].fields["form_token"]
    investigator.post("/console/administration/add-member", {"form_token": token, "name": LONG})
    assert (investigator.page.status_code, "Three pages of reasons" in investigator.text) == (403, True)


@pytest.mark.parametrize("letter", ["\u044b", "\u6f22", "\U0001f44d"])
@pytest.mark.parametrize(("action", "field"), [("/override", "reason"), ("/challenge", "words")])
def test_a_text_that_is_too_long_is_refused_by_its_characters_and_stays_in_its_form(
    investigator: Visitor, action: str, field: str, letter: str
) -> None:
    investigator.go(ACME).submit(action, level="high", **{field: letter * 2_000})
    assert investigator.page.status_code == 200
    written = f"a {letter * 12_000} b"
    investigator.go(ACME).submit(action, level="high", **{field: written})
    assert investigator.page.status_code == 422
    assert "in 1 to 2000 characters" in investigator.text
    assert f"{written}</textarea>" in investigator.page.text


def test_the_refusal_of_a_form_that_is_larger_than_any_says_the_limit(investigator: Visitor) -> None:
    investigator.go(ACME).submit("/override", level="high", reason="a" * 800_000)
    assert investigator.page.status_code == 413
    assert "larger than 792,000 bytes, so it was not read, and nothing was changed" in investigator.text


def test_no_field_lets_a_browser_cut_a_text_without_a_word() -> None:
    assert not [path for path in TEMPLATES if "maxlength" in path.read_text(encoding="utf-8")]


WRITTEN = {"reason", "words", "answer", "conclusion", "description", "accept_warnings"}
"""Fields of free text that have the limit of reasons."""
READING_NONE = ("/check", "/assign-many", "/compute-many")
BESIDE = {"settle": {"override_number": "", "reason": "x"}, "order": {"place-drafted": "1", "place-retail": "3"}}
"""What else a form needs, so that its text is read; by the end of its action."""


def test_every_form_refuses_a_text_that_is_too_long_with_the_limit_and_keeps_it(place: Place) -> None:
    """Each form of each page that has a field of free text."""
    visitor, tried = Visitor(place).sign_in("admin"), set()
    long = f"a {'b' * 2_000} c"
    for view in VIEWS:
        if view.method == "POST" or view.path.startswith("/console/new-"):  # the forms of a new version read the same
            continue
        for address, fields in filled_forms(visitor.go(view.path.format(**PARTS)).page.text):
            action = address.partition("?")[0]
            for name in WRITTEN & set(fields) - {name for at, name in tried if at == action}:
                if action.endswith(READING_NONE) or (action.endswith("/answer") and name == "answer"):
                    continue
                tried.add((action, name))
                needed = {each: text or "x" for each, text in fields.items() if each in WRITTEN}
                beside = BESIDE.get(action.rpartition("/")[2], {})
                visitor.post(address, {**fields, **needed, **beside, name: long})
                assert visitor.page.status_code == 422, (action, name, visitor.text)
                assert "in 1 to 2000 characters" in visitor.text, (action, name, visitor.text)
                assert f"{long}</textarea>" in visitor.page.text or f'value="{long}"' in visitor.page.text, action
    assert len(tried) >= 30


MARKED = re.compile(r'<(?:input|textarea|select)[^>]* name="(\w+)"[^>]* aria-invalid="true" aria-describedby="([^" ]*)')


def test_every_form_says_at_its_field_that_it_is_blank_and_opens_where_it_stands(place: Place) -> None:
    """Each form of each page that has a field of free text."""
    visitor, tried = Visitor(place).sign_in("admin"), set()
    for view in VIEWS:
        if view.method == "POST" or view.path.startswith("/console/new-"):
            continue
        for address, fields in filled_forms(visitor.go(view.path.format(**PARTS)).page.text):
            action = address.partition("?")[0]
            # The reason first: with a blank one nothing is settled, and the form stays.
            for name in sorted(WRITTEN & set(fields) - {name for at, name in tried if at == action}, reverse=True):
                if action.endswith("/answer") and name == "answer":  # a button
                    continue
                needed = {each: text or "x" for each, text in fields.items() if each in WRITTEN}
                visitor.post(address, {**fields, **needed, **BESIDE.get(action.rpartition("/")[2], {}), name: "   "})
                refused = visitor.page.status_code == 422
                if refused and ("is empty" in visitor.text or "must say why" in visitor.text):
                    tried.add((action, name))
                    page = visitor.page.text
                    assert [found[1] for found in MARKED.finditer(page)] == [name], (action, visitor.text)
                    (fault,) = (found[2] for found in MARKED.finditer(page))
                    assert page.count("autofocus") == page.count('<p class="fault"') == 1
                    assert f'id="{fault}">' in page
                    _, begins, inside = page[: page.index("aria-invalid")].rpartition("<details")
                    assert not begins or "</details>" in inside or inside.startswith(" open>"), (action, inside)
    assert len(tried) >= 20


def test_another_site_gets_nothing_written_on_the_page_of_the_sign_in(place: Place) -> None:
    visitor = Visitor(place)
    for origin in ("https://evil.example", ""):
        visitor.post(f"{ACME}/override", {"reason": LONG}, origin=origin)
        assert "Your session has ended" in visitor.text
        assert "Three pages" not in visitor.text


def test_a_long_form_on_a_slow_line_is_not_lost_with_the_session(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor, fields = Visitor(place), urlencode({"reason": LONG}).encode()
    headers = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}

    async def slowly() -> AsyncIterator[bytes]:
        yield fields[:9]
        await asyncio.sleep(0.2)
        yield fields[9:]

    monkeypatch.setattr(console, "SIGN_IN_SECONDS", 0.01)
    visitor.send("POST", f"{ACME}/override", content=slowly(), headers=headers)
    assert "Your text: copy it" in visitor.text
    assert "Three pages of reasons" in visitor.text
    monkeypatch.setattr(console, "LOST_FORM_SECONDS", 0.01)
    visitor.send("POST", f"{ACME}/override", content=slowly(), headers=headers)
    assert "Your session has ended, and nothing was changed." in visitor.text
    assert "Your text could not be read: go back in the browser and copy it." in visitor.text


def test_a_script_that_checks_a_text_after_the_end_of_the_session_leaves_the_text_where_it_is(place: Place) -> None:
    page = Visitor(place).send("POST", "/console/rulesets/retail/edit/check", headers={"hx-request": "true"}).page
    assert "hx-refresh" not in page.headers
    assert '<div id="found"><p class="problem" role="alert">Your session has ended.' in page.text
    assert 'href="/console/sign-in?next=%2Fconsole%2Frulesets%2Fretail%2Fedit"' in page.text


@pytest.mark.parametrize(
    ("place_of", "name", "error", "status"),
    [
        (console, "find_session", StoreError("away"), 503),
        (console, "find_session", UnknownOutcomeError("away"), 504),
        (RateLimiter, "require", ApiError(429, "Too many requests in a minute for your plan"), 429),
        (editor, "check_text", StoreError("away"), 503),
        (editor, "check_text", UnknownOutcomeError("gone"), 504),
        (editor, "check_text", ConfigError("This is not a text"), 422),
        (None, "", None, 413),
        (None, "", None, 403),
    ],
)
def test_a_script_is_given_the_reason_of_every_refusal_where_it_puts_what_was_found(
    place: Place, monkeypatch: pytest.MonkeyPatch, place_of: object, name: str, error: Exception, status: int
) -> None:
    """The form of a part of a flow has `form-found`; the search has `results`."""
    publisher = Visitor(place).sign_in("publisher").go("/console/rulesets/retail/edit")
    fields = publisher.forms()[0].fields | {"document": "a" * (800_000 if status == 413 else 8)}
    if status == 403:
        fields["form_token"] = "of another session"

    def refuses(*_: object, **__: object) -> None:
        raise error

    if place_of is not None:
        monkeypatch.setattr(place_of, name, refuses)
    sent = {"origin": ORIGIN, "hx-request": "true"}
    page = publisher.send("POST", "/console/rulesets/retail/edit/check", data=fields, headers=sent).page
    assert page.status_code == status
    reasons = re.findall(r'<div id="([a-z-]+)"[^>]*><p class="problem" role="alert">([^<]{12,})</p></div>', page.text)
    ends = [] if status in {429, 503, 504} else ["job"]  # where the fault may pass, a page goes on asking
    assert [name for name, _ in reasons] == ["found", "results", *ends, "form-found"]
    assert all("What you wrote is still here" in reason for name, reason in reasons if "found" in name)
    assert "<html" not in page.text


def test_the_reason_of_a_refused_form_is_shown_in_no_other(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin").go(ACME).submit("/override", level="high", reason="own")
    form_token = visitor.forms()[0].fields["form_token"]
    line = place.good("GET", "/v1/entities/company/acme/overrides", role="admin")[0]
    about = {"override": str(line["id"]), "seen_requested": line["requested_at"]}
    visitor.post(f"{ACME}/refuse-override", {"form_token": form_token, **about, "reason": "MINE"})
    assert visitor.page.status_code == 409
    assert "MINE" not in {value for form in visitor.forms() for value in form.fields.values()}
    assert re.search("leave this page (Override [0-9]+ )?Reason MINE ", visitor.text)


@pytest.mark.parametrize("reason", ["no, not convinced", "no"])
def test_a_short_reason_is_not_lost_where_its_form_is_gone(place: Place, investigator: Visitor, reason: str) -> None:
    """Its letters may stand in other words of the page."""
    investigator.go(ACME).submit("/override", level="high", reason="A court asked for it.")
    one, other = (Visitor(place).sign_in("approver").go(ACME) for _ in range(2))
    one.submit("/approve-override", reason="yes")
    other.submit("/refuse-override", reason=reason)
    assert other.page.status_code == 409
    assert re.search(f"leave this page (Override [0-9]+ )?Reason {reason} ", other.text)


def test_what_is_called_free_text_is_typed_and_chosen_nowhere() -> None:
    typed, chosen = set(), set()
    for path in TEMPLATES:
        for element, tag in re.findall(r"<(input|select|textarea)\b((?:[^>{]|{{.*?}}|{%.*?%})*)>", path.read_text()):
            name, kind = (re.search(rf'\s{each}="([^"]*)"', tag) for each in ("name", "type"))
            if name and (element == "textarea" or (element == "input" and kind is None)):
                typed.add(name[1])
            elif name and (element == "select" or (kind and kind[1] in {"checkbox", "radio"})):
                chosen.add(name[1])
    assert typed - chosen >= FREE_TEXT


def test_a_slash_at_the_end_leads_to_the_page(investigator: Visitor) -> None:
    assert investigator.go("/console/").page.url.path == "/console/queue"
    assert investigator.go(f"{ACME}/").page.url.path == ACME
