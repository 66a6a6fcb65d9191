"""The commercial role sees what customers are worth: all that it may read is the same, however risky anybody is."""

import json
import re
from html import unescape
from urllib.parse import quote

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from fivefold.console.table import VIEWS
from fivefold.domain.clock import DAY_US
from fivefold.serving.console import RIGHTS
from fivefold.serving.v1.permissions import ROUTES
from fivefold.store.tables.entities import Entity, EntityType, OrganisationSettings, ValueScore
from fivefold.store.tables.groups import GroupMember, GroupMove, NamedGroup
from fivefold.store.tables.levels import Standing
from fivefold.usecases.queue.seen import kinds_for
from fivefold.usecases.shared.actors import Role
from tests.console.test_queries import MANY, count
from tests.console.test_rights import PARTS
from tests.console.visitors import Visitor
from tests.serving.v1.places import OURS, THEIRS, Place
from tests.store.audits import forged
from tests.usecases.groups.grouped import HIGH
from tests.usecases.groups.grouped import document as group

OF = "/v1/entities/{type}/{external_id}"
MAY_ASK = {
    *("GET /v1/segments", "GET /v1/values", "GET /v1/values/search", f"GET {OF}/value", f"GET {OF}/groups"),
    *("GET /v1/groups", *(f"GET /v1/groups/{{group}}/{part}" for part in ("members", "moves", "sizes"))),
}
MAY_SEE = {
    *("/console/values", "/console/value-search", "/console/values/{type}/{external_id}"),
    *("/console/groups", "/console/groups/{group}"),
}
ACME = "/entities/company/acme"
ADDRESSES = (
    "/v1/segments?type=company",
    "/v1/segments?type=customer",
    "/v1/values?type=company",
    "/v1/values?type=company&segment=top,low&limit=1",
    "/v1/values/search?type=company&text=a",
    "/v1/values/search?type=company&text=v",
    f"/v1{ACME}/value",
    "/v1/entities/company/v1/value",
    "/v1/entities/company/none/value",
    "/v1/groups",
    "/v1/groups/high-ones/members",
    "/v1/groups/high-ones/moves",
    "/v1/groups/high-ones/moves?limit=1",
    "/v1/groups/high-ones/sizes",
    "/v1/groups/of-aml/members",
    f"/v1{ACME}/groups",
    "/v1/entities/company/v1/groups",
)
PAGES = (
    "/console",
    "/console/values?type=company",
    "/console/values?type=company&segment=top",
    "/console/value-search?text=v",
    "/console/value-search?text=acme",
    "/console/values/company/acme",
    "/console/values/company/v1",
    "/console/values/company/none",
    "/console/groups",
    "/console/groups/high-ones",
    "/console/groups/of-aml",
)
LEVELS = ["tranquil", "watchful", "perilous"]
"""Names of levels that no other word contains."""


@pytest.fixture
def valued(place: Place) -> Place:
    """The place with four more companies, three of which have a value, and levels whose names are no other words."""
    for name in ("v0", "v1", "v2", "v3"):
        place.good("PUT", f"/v1/entities/company/{name}", {"attributes": {"size": 1}}, role="app")
        place.good("GET", f"/v1/entities/company/{name}/risk", params={"freshness": "now"}, role="investigator")
    values = {"v1": ("top", 4.5, 1250.5), "v2": ("top", 4.25, 749.5), "v3": ("low", 1.5, 3.0)}
    (maker,) = place.join("maker of groups", "publisher")
    body = {"document": group(HIGH, "of-aml"), "reason": "R", "accept_warnings": "A"}
    place.good("POST", "/v1/groups", body, token=maker)
    with Session(place.engine) as session, session.begin():
        of = OrganisationSettings.organisation_id == place.organisations[OURS]
        session.execute(update(OrganisationSettings).where(of).values(levels=LEVELS))
        for name, (segment, score, value) in values.items():
            entity = session.query(Entity).where(Entity.external_id == name).one()
            for of_group in session.query(NamedGroup.id).where(NamedGroup.organisation_id == place.organisations[OURS]):
                member = {"group_id": of_group.id, "entity_id": entity.id, "is_unknown": False}
                session.add(GroupMember(**member, is_member=True, since_us=1, moves=1))
                session.add(GroupMove(**member, number=1, at_us=1, entered=True))
            standing = session.get_one(Standing, entity.id)
            said = {"segment": segment, "expected_value": value}
            standing.value_score, standing.value_currency = score, "EUR"
            standing.segment, standing.expected_value = segment, value
            model = {"model": "fivefold-value", "model_version": 3, "fingerprint": "f", "currency": "EUR"}
            session.add(ValueScore(entity_id=entity.id, as_of_us=1_790_000_000_000_000, score=score, **said, **model))
    return place


def told(place: Place) -> list[str]:
    """All that the role is told, by `/v1` with its headers and by the pages.

    It is without the nonce of each page, and without its line for paper, which has the moment.
    """
    token = place.tokens[OURS, Role.COMMERCIAL]
    answers = [place.ask("GET", address, token=token) for address in ADDRESSES]
    said = [f"{answer.status_code} {answer.headers.get('link')} {answer.text}" for answer in answers]
    visitor = Visitor(place).sign_in(Role.COMMERCIAL)
    for address in PAGES:
        page = visitor.go(address).page
        said.append(f"{page.status_code} {page.url} {page.text}")
    return [re.sub(r"nonce=\"[^\"]*\"|<p class=\"paper\">.*", "", each) for each in said]


def worsen(place: Place) -> None:
    """Change all that makes or marks a risk: levels, scores, statuses, moments, tags, screenings, cases, attributes.

    Members of groups moved at other hours of the same days, as they do when their levels are computed then.
    """
    for name in ("acme", "v0", "v1", "v2", "v3"):
        of = f"/v1/entities/company/{name}"
        place.good("PUT", f"{of}/tags/v9 watched", {}, role="app")
        place.good("POST", f"{of}/screenings", {"screening": "pep", "found": True}, role="app")
        closed = {"opened_at": "2026-11-01", "closed_at": "2026-11-02", "outcome": "reported"}
        for record in ("cases", "alerts"):
            place.good("PUT", f"{of}/{record}/{record} of {name}", closed, role="app")
        place.good("PUT", of, {"attributes": {"size": 9}}, role="app")
        place.good("POST", f"{of}/overrides", {"level": "perilous", "reason": "vile"}, role="investigator")
    with Session(place.engine) as session, session.begin():
        for number, standing in enumerate(session.query(Standing).order_by(Standing.entity_id)):
            standing.level, standing.rules_level = (None, 3, 1, 2)[number % 4], 3
            standing.score, standing.status, standing.source = 99.0 - number, "failed", "override"
            standing.assessed_us += 86_400_000_000 * (number + 1)
            standing.level_since_us = standing.entered_us = standing.assessed_us
            standing.number += 1
    with forged(place.engine) as connection:
        for table, column in ((GroupMember, "since_us"), (GroupMove, "at_us")):
            moment = getattr(table, column)
            hour_us = (20 - table.entity_id % 20) * 3_600_000_000
            connection.execute(update(table).values({column: moment - moment % DAY_US + hour_us}))


def test_what_the_role_is_told_is_the_same_to_the_byte_whatever_the_risk(valued: Place) -> None:
    before = told(valued)
    assert "1250.5" in "".join(before)
    worsen(valued)
    assert told(valued) == before
    seen = valued.ask("GET", "/v1/levels?type=company", role="investigator").text
    assert "perilous" in seen
    assert "failed" in seen


def test_no_word_of_risk_is_told(valued: Place) -> None:
    worsen(valued)
    words = (
        *LEVELS,
        "risk",
        "level",
        "override",
        "watched",
        "screening",
        "alert",
        "quarantin",
        "assess",
        "kept",
        "failed",
    )
    for address, said in zip((*ADDRESSES, *PAGES), told(valued), strict=True):
        shown = re.sub(r"(?s)<[^>]*>|interval_level_percent", " ", said).casefold()  # how sure the interval is
        assert [word for word in words if word in shown] == [], address
    fields = {"external_id", "score", "segment", "expected_value", "currency", "as_of", "superseded_by"}
    token = valued.tokens[OURS, Role.COMMERCIAL]
    for address in ADDRESSES[2:6]:
        rows = json.loads(valued.ask("GET", address, token=token).text)
        assert rows
        assert {frozenset(row) for row in rows} == {frozenset(fields)}


def test_it_has_these_rights_and_no_others() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES if Role.COMMERCIAL in route.roles} == MAY_ASK
    assert {view.path for view in VIEWS if view.right and Role.COMMERCIAL in RIGHTS[view.right]} == MAY_SEE
    assert {right for right, roles in RIGHTS.items() if Role.COMMERCIAL in roles} == MAY_ASK
    assert kinds_for(Role.COMMERCIAL) == ()


@pytest.mark.parametrize(
    "address",
    [
        "queue",
        "search?text=acme",
        "portfolio",
        "portfolio/over-time",
        "decisions",
        "administration/settings",
        ACME[1:],
        f"{ACME[1:]}/timeline",
        f"{ACME[1:]}/transactions",
        f"{ACME[1:]}/history",
        f"{ACME[1:]}/value",
        "assessments/1.1",
        "entities/company/none",
    ],
)
def test_pages_of_risk_are_not_for_it(furnished: Place, address: str) -> None:
    visitor = Visitor(furnished).sign_in(Role.COMMERCIAL).go(f"/console/{address}")
    assert visitor.page.status_code == 403
    assert "Your role, commercial, may not see this." in visitor.text


@pytest.mark.parametrize("kind", ["json", "pdf"])
def test_a_customer_is_not_exported(furnished: Place, kind: str) -> None:
    visitor = Visitor(furnished).sign_in(Role.COMMERCIAL)
    form_token = visitor.go("/console/session").forms()[0].fields["form_token"]
    visitor.post(f"/console{ACME}/export-{kind}", {"form_token": form_token})
    assert visitor.page.status_code == 403


def test_every_link_of_its_pages_leads_to_a_page_of_its_own(valued: Place) -> None:
    visitor = Visitor(valued).sign_in(Role.COMMERCIAL)
    own = {"/console", "/console/session", *MAY_SEE}
    assert visitor.page.url.path == "/console/values"
    for address in ("/console/session", *PAGES):
        visitor.go(address)
        links = [re.sub(r"/company/[^/?]+", "/{external_id}", link.partition("?")[0]) for link in visitor.links()]
        paths = {link.replace("/values/{external_id}", "/values/{type}/{external_id}") for link in links}
        paths = {re.sub("/console/groups/[^/]+$", "/console/groups/{group}", path) for path in paths}
        assert paths - {"", "#content"} <= own, address
        assert 'class="find" action="/console/value-search"' in visitor.page.text
        assert 'action="/console/search"' not in visitor.page.text


@pytest.mark.parametrize(
    "filter_", ["level=low", "status=failed", "tag=kept", "owner=acme", "order=risk", "ruleset=retail"]
)
def test_nothing_is_filtered_by_what_is_not_seen(furnished: Place, filter_: str) -> None:
    token = furnished.tokens[OURS, Role.COMMERCIAL]
    visitor = Visitor(furnished).sign_in(Role.COMMERCIAL)
    for path in ("segments?type=company", "values?type=company", "values/search?type=company&text=a"):
        assert furnished.ask("GET", f"/v1/{path}&{filter_}", token=token).status_code == 422
    for path in ("values?type=company", "value-search?text=a"):
        visitor.go(f"/console/{path}&{filter_}")
        assert visitor.page.status_code == 422
        assert "values are not filtered by" in visitor.text


def test_a_portfolio_leads_from_its_segments_to_people_and_their_value(valued: Place) -> None:
    visitor = Visitor(valued).sign_in(Role.COMMERCIAL).go("/console/values?type=company")
    assert "3 of them have a value." in visitor.text
    assert "2,000.00 EUR" in visitor.text
    head = visitor.page.text.partition("<thead>")[2].partition("</thead>")[0]
    titles = re.sub(r"<[^>]+>", " ", head.replace("</th>", "|")).split("|")
    assert [title.strip() for title in titles if title.strip()] == [
        "Segment",
        "Customers",
        "Share",
        "Bar",
        "Expected value",
    ], "the bar is of the share, and stands beside it"
    (top,) = [link for link in visitor.links() if "segment=top" in link]
    visitor.go("/console/values" + top.replace("&amp;", "&"))
    people = [link for link in visitor.links() if link.startswith("/console/values/")]
    assert people == ["/console/values/company/v1", "/console/values/company/v2"]
    visitor.go(people[0])
    assert "Value Top 4.50 of 5" in visitor.text
    assert "Expected value 1,250.50 EUR" in visitor.text
    assert "As of 21 September 2026" in visitor.text
    assert "no value" in visitor.go("/console/values/company/v0").text


def test_a_search_leads_straight_to_a_whole_identifier_and_shows_markup_as_text(valued: Place) -> None:
    name = "<b>v4</b>"
    valued.good("PUT", f"/v1/entities/company/{quote(name, safe='')}", {"attributes": {"size": 1}}, role="app")
    visitor = Visitor(valued).sign_in(Role.COMMERCIAL).go("/console/value-search?text=v3")
    assert visitor.page.url.path == "/console/values/company/v3"
    visitor.go("/console/value-search?text=b")
    assert "&lt;b&gt;v4&lt;/b&gt;" in visitor.page.text
    assert name not in visitor.page.text
    assert visitor.go(f"/console/value-search?text={quote(name)}").page.url.raw_path.endswith(b"%2Fb%3E")
    assert "No identifier of this type matches." in visitor.go("/console/value-search?text=zzz").text


def test_another_organisation_has_its_own(valued: Place) -> None:
    visitor = Visitor(valued).sign_in(Role.COMMERCIAL, THEIRS)
    for address in ("/console/value-search?text=v", "/console/values"):
        assert "v1" not in visitor.go(address).text
    for view in MAY_SEE:
        if "{" in view:
            assert visitor.go(view.format(**PARTS)).page.status_code == 404


def test_nothing_of_the_queue_is_assigned_to_a_member_who_would_not_see_it(place: Place) -> None:
    member = place.members[OURS, Role.COMMERCIAL]
    body = {"revision": 0, "assigned_to": member}
    answer = place.ask("PUT", "/v1/queue/override-1-0", body, role="admin")
    assert answer.status_code == 422
    assert "is commercial, and does not see items of the kind override" in answer.text


def test_an_organisation_that_has_nothing_yet_has_pages_that_say_so(place: Place) -> None:
    visitor = Visitor(place).sign_in(Role.COMMERCIAL, THEIRS)
    assert "Nobody is here." in visitor.go("/console/values").text
    with Session(place.engine) as session, session.begin():
        session.execute(delete(EntityType).where(EntityType.organisation_id == place.organisations[THEIRS]))
    assert "has no entity type yet" in visitor.go("/console/values").text
    investigator = Visitor(place).sign_in(Role.INVESTIGATOR, THEIRS)
    for path in ("portfolio", "portfolio/over-time", "search?text=a"):
        page = investigator.go(f"/console/{path}").page
        assert page.status_code == 200, path
    assert "has no entity type yet" in investigator.go("/console/portfolio/over-time").text
    for address in ("/console/value-search", "/console/value-search?text=a"):
        assert "has no entity type yet" in visitor.go(address).text
    assert "has no entity type yet" in investigator.go("/console/search?text=a").text
    assert "no entity type 'customer'" in unescape(investigator.go("/console/decisions?external_id=a").text)


@pytest.mark.parametrize(
    ("path", "with_types", "words"),
    [
        ("queue", False, "Nothing is waiting here."),
        ("queue/next?queue=", False, "Nothing is waiting here."),
        ("queue/overrides", False, "There is no override"),
        ("search?text=a", False, "has no entity type yet"),
        ("search?text=a", True, "Nothing of this type matches."),
        ("portfolio", True, "There are no levels yet."),
        ("portfolio/over-time", True, "No customer of the type customer has had a level yet."),
        ("entities/customer/first", True, "Latest transactions"),
        ("entities/customer/first/timeline", True, "What happened about first"),
    ],
)
def test_the_pages_of_a_new_organisation_are_there_before_it_has_levels(
    place: Place, path: str, with_types: bool, words: str
) -> None:
    """The queue is the first page: who signed in first read that levels were missing, with a way back to the queue."""
    visitor = Visitor(place)
    if with_types:
        place.good("PUT", "/v1/entities/customer/first", {}, token=place.tokens[THEIRS, "app"])
    without_levels(place, with_types=with_types)
    visitor.sign_in(Role.INVESTIGATOR, THEIRS).go(f"/console/{path}")
    assert visitor.page.status_code == 200
    assert words in visitor.text


def without_levels(place: Place, *, with_types: bool) -> None:
    """Take the levels from the other organisation, or its types too."""
    of = place.organisations[THEIRS]
    with Session(place.engine) as session, session.begin():
        if not with_types:
            session.execute(delete(EntityType).where(EntityType.organisation_id == of))
        session.execute(delete(OrganisationSettings).where(OrganisationSettings.organisation_id == of))


@pytest.mark.parametrize("path", ["transitions", "entities/customer/first/timeline", "entities/customer"])
def test_before_it_has_levels_an_organisation_reads_no_level_and_is_not_refused(place: Place, path: str) -> None:
    place.good("PUT", "/v1/entities/customer/first", {}, token=place.tokens[THEIRS, "app"])
    without_levels(place, with_types=True)
    answer = place.ask("GET", f"/v1/{path}", token=place.tokens[THEIRS, "admin"])
    assert answer.status_code == 200, answer.text
    named = place.ask("GET", "/v1/entities/customer?level=high", token=place.tokens[THEIRS, "admin"])
    assert (named.status_code, "there is no level 'high'; there are none yet" in named.text) == (422, True)


def test_more_customers_take_no_more_statements(place: Place) -> None:
    visitor = Visitor(place).sign_in(Role.COMMERCIAL)
    addresses = ("/console/values?type=company", "/console/value-search?text=a", "/console/values/company/acme")
    few = [count(visitor, address) for address in addresses]
    for number in range(MANY):
        place.good("PUT", f"/v1/entities/company/a{number}", {"attributes": {"size": number}}, role="app")
        path = f"/v1/entities/company/a{number}/risk"
        place.good("GET", path, params={"freshness": "now"}, role="investigator")
    with Session(place.engine) as session, session.begin():
        value = {"value_score": 4.5, "segment": "top", "expected_value": 8.0, "value_currency": "EUR"}
        session.execute(update(Standing).values(**value))
    assert [count(visitor, address) for address in addresses] == few
    assert max(few) <= 20
