"""The portfolio's page: a matrix of value and risk that leads to the people in a field."""

import re
from html import unescape
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.console.levels.migration import _count, _rows
from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from fivefold.store.tables.levels import DueMark, Standing, Transition
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.portfolio import migration
from fivefold.usecases.portfolio.migration import Migration, MigrationCell
from fivefold.usecases.shared.context import Context
from tests.console.customers import fail_assessment
from tests.console.visitors import Visitor
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import THEIRS, Place
from tests.store.portfolio.counting import assert_counted

PAGE = "/console/portfolio?type=company"


def valued(place: Place) -> None:
    """Make four more companies, assess them, and give two of them values."""
    for number in range(4):
        place.good("PUT", f"/v1/entities/company/v{number}", {"attributes": {"size": number}}, role="app")
        place.good("GET", f"/v1/entities/company/v{number}/risk", params={"freshness": "now"}, role="investigator")
    with Session(place.engine) as session, session.begin():
        found = session.query(Standing).order_by(Standing.entity_id.desc()).limit(3).all()
        values = (("top", 3, 1250.5), ("top", 3, 749.5), ("low", 1, 3.0))
        for standing, (segment, level, value) in zip(found, values, strict=True):
            standing.level, standing.segment = level, segment
            standing.expected_value, standing.value_currency = value, "EUR"


def test_a_field_has_its_customers_and_their_money_and_leads_to_them(place: Place) -> None:
    valued(place)
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert "2,000.00 EUR" in visitor.text
    assert "Value unknown" in visitor.text
    (link,) = [each for each in visitor.links() if "segment=top" in each]
    visitor.go("/console/portfolio" + link.replace("&amp;", "&"))
    assert "High, Top value · all levels" in visitor.text
    people = [each.rpartition("/")[2] for each in visitor.links() if each.startswith("/console/entities/company/")]
    assert sorted(people) == ["v2", "v3"]
    matrix = place.good("GET", "/v1/matrix", params={"type": "company"}, role="approver")
    (field,) = [each for each in matrix["cells"] if each["segment"] == "top"]
    assert (field["level"], field["entities"]) == ("high", 2)
    assert field["worth"] == [{"amount": 2000.0, "currency": "EUR"}]
    with place.engine.connect() as connection:
        assert_counted(connection)


def test_who_has_no_level_is_a_list_that_says_why(place: Place) -> None:
    valued(place)
    with Session(place.engine) as session, session.begin():
        found = session.query(Standing).order_by(Standing.entity_id.desc()).limit(2).all()
        for standing, status in zip(found, ("not applicable", "undetermined"), strict=True):
            standing.level, standing.segment, standing.status = None, "top", status
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert "1: it is unknown whether the ruleset applies ; 3: no ruleset decides" in visitor.text
    of_none = [link.replace("&amp;", "&") for link in visitor.links() if "level=none" in link]
    (by_reason,) = [link for link in of_none if "status=" in link]
    places = [link for link in of_none if link != by_reason]
    assert [place.partition("&segment=")[2] for place in places] == ["", "top"], "of the table, and of the matrix"
    lists = (("No level · all levels", ["acme", "v0", "v2", "v3"]), ("No level, Top value", ["v2", "v3"]))
    for address, (title, names) in zip(places, lists, strict=True):
        visitor.go("/console/portfolio" + address)
        assert title in visitor.text
        people = [each.rpartition("/")[2] for each in visitor.links() if each.startswith("/console/entities/company/")]
        assert sorted(people) == names
        assert "no level no ruleset applies to the customer" in visitor.text
        assert "no level it is unknown whether the ruleset applies" in visitor.text
    visitor.go("/console/portfolio" + by_reason)
    assert "No level, it is unknown whether the ruleset applies" in visitor.text
    assert [each for each in visitor.links() if each.startswith("/console/entities/company/")] == [
        "/console/entities/company/v2"
    ]


def test_who_waits_for_the_first_rulesets_is_not_said_to_be_beside_all_of_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ruleset was activated, and its backfill has reached nobody yet."""
    valued(place)
    monkeypatch.setattr("fivefold.usecases.portfolio.matrix.active_versions", lambda *_: ["one"])
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert "2: no ruleset applied at the last assessment" in visitor.text
    visitor.go(PAGE + "&level=none")
    assert "no level not yet assessed by the present rulesets" in visitor.text
    assert "no ruleset decides" not in visitor.text


def test_whose_last_attempt_failed_is_counted_and_leads_to_the_list(place: Place) -> None:
    page = "/console/portfolio?type=customer"
    path = f"/v1/entities/customer/{quote(CUSTOMER, safe='')}/risk"
    place.good("GET", path, params={"freshness": "now"}, role="investigator")
    visitor = Visitor(place).sign_in("investigator").go(page)
    assert "The last attempt failed" not in visitor.text
    with Session(place.engine) as session, session.begin():
        session.execute(update(DueMark).values(error="it broke"))
    assert "The last attempt failed: 1" in visitor.go(page).text
    place.good("PUT", "/v1/entities/customer/new", {}, role="app")
    with Session(place.engine) as session, session.begin():
        session.execute(update(DueMark).values(error="it broke"))
    assert "The last attempt failed: 2" in visitor.go(page).text, "who was never assessed is one of them"
    (link,) = [link for link in visitor.links() if "failing=true" in link]
    visitor.go(link.replace("&amp;", "&"))
    people = {link for link in visitor.links() if link.startswith("/console/entities/customer/")}
    assert people == {f"/console/entities/customer/{quote(name, safe='')}" for name in (CUSTOMER, "new")}


def test_whose_last_attempt_failed_is_counted_where_no_ruleset_is_active(place: Place) -> None:
    """Values are computed all the same, and an attempt at that can fail."""
    place.good("PUT", "/v1/entity-types/shop", {"fields": {}}, role="admin")
    place.good("PUT", "/v1/entities/shop/s1", {}, role="app")
    with Session(place.engine) as session, session.begin():
        session.execute(update(DueMark).values(error="it broke", quarantined=True))
    text = Visitor(place).sign_in("investigator").go("/console/portfolio?type=shop").text
    assert "No ruleset is active, so no customer has a level. The last attempt failed: 1 . Quarantined: 1." in text


def test_who_was_not_assessed_in_full_is_counted_and_leads_to_the_list(place: Place) -> None:
    visitor = Visitor(place).sign_in("investigator")
    assert "failed" not in visitor.go("/console/portfolio?type=customer").text
    fail_assessment(place)
    text = visitor.go("/console/portfolio?type=customer").text
    assert "without a level. 1 could not be assessed in full: 1 failed" in text
    (link,) = [link for link in visitor.links() if "status=failed" in link]
    listed = visitor.go(f"/console/portfolio{link}").text
    assert "Failed · all levels" in listed
    assert CUSTOMER in listed
    assert CUSTOMER not in visitor.go("/console/portfolio?type=customer&status=undetermined").text
    counted = place.good("GET", "/v1/distribution?type=customer", role="investigator")
    assert sum(version["failed"] for version in counted["versions"]) == 1


def test_money_of_two_currencies_is_not_added_up(place: Place) -> None:
    valued(place)
    with Session(place.engine) as session, session.begin():
        session.execute(update(Standing).where(Standing.expected_value == 749.5).values(value_currency="USD"))
    visitor = Visitor(place).sign_in("investigator").go(PAGE)
    assert "1,250.50 EUR 749.50 USD" in visitor.text
    matrix = place.good("GET", "/v1/matrix", params={"type": "company"}, role="approver")
    assert [each["entities"] for each in matrix["cells"] if each["segment"] == "top"] == [2]


def test_another_organisation_counts_its_own_alone(place: Place) -> None:
    valued(place)
    assert place.good("GET", "/v1/matrix", params={"type": "company"}, role="admin")["entities"] >= 4
    visitor = Visitor(place).sign_in("admin", THEIRS).go("/console/portfolio")
    assert visitor.page.status_code == 200
    assert "2,000.00 EUR" not in visitor.text
    assert place.ask("GET", "/v1/matrix", role="admin", params={"type": "nothing"}).status_code == 404


def moved(place: Place, name: str) -> int:
    """Make a company that reached the lowest level yesterday, and the highest one now; that moment."""
    address = f"/v1/entities/company/{quote(name, safe='')}"
    place.good("PUT", address, {"attributes": {"size": 1}}, role="app")
    place.good("GET", f"{address}/risk", params={"freshness": "now"}, role="admin")
    with Session(place.engine) as session, session.begin():
        standing = session.query(Standing).order_by(Standing.entity_id.desc()).limit(1).one()
        standing.level, at_us = 3, standing.assessed_us
        of = {"entity_id": standing.entity_id, "organisation_id": standing.organisation_id}
        session.add(Transition(**of, number=1, at_us=at_us - DAY_US, from_level=None, to_level=1, source="rules"))
        session.add(Transition(**of, number=2, at_us=at_us, from_level=1, to_level=3, source="override"))
    return at_us


def test_the_matrix_over_time_leads_to_the_people_who_moved_and_why(place: Place) -> None:
    name = "<b>mover</b>"
    at_us = moved(place, name)
    visitor = Visitor(place).sign_in("investigator").go("/console/portfolio?type=company")
    (over_time,) = [each for each in visitor.links() if "over-time?" in each]
    visitor.go(f"{over_time}&since={day_text(at_us - at_us % DAY_US)}&until={day_text(at_us - at_us % DAY_US)}")
    moved_up = (
        "1 of the type company have a higher level at the end, 0 have a lower one, 0 no longer have a level, and "
    )
    assert moved_up in visitor.text
    assert 'role="img"' in visitor.page.text
    (cell,) = [each for each in visitor.links() if "to=high" in each and "from=low" in each]
    visitor.go("/console/portfolio/over-time" + cell.replace("&amp;", "&"))
    assert "Low → High · everybody who moved" in visitor.text
    assert "&lt;b&gt;mover&lt;/b&gt;" in visitor.page.text
    assert name not in visitor.page.text
    assert "override" in visitor.text
    asked = {"type": "company", "since": day_text(day_us := at_us - at_us % DAY_US), "until": day_text(day_us + DAY_US)}
    (mover,) = place.good("GET", "/v1/migration/movers", params=asked, role="approver")
    assert (mover["external_id"], mover["from_level"], mover["to_level"]) == (name, "low", "high")
    assert "Nobody is listed." in visitor.go(f"{over_time}&from=high&to=low").text


def test_who_was_erased_since_is_counted_and_not_listed_and_the_page_says_so(place: Place, tmp_path: Path) -> None:
    day = day_text(moved(place, "mover") // DAY_US * DAY_US)
    later = Context(place.engine, place.actor("admin")).at(now_microseconds() + 2_000 * DAY_US)
    erase_entity(later, "company", "mover", tmp_path / "erased.jsonl")
    visitor = Visitor(place).sign_in("investigator")
    visitor.go(f"/console/portfolio/over-time?type=company&since={day}&until={day}")
    assert "1 of the type company have a higher level at the end" in visitor.text
    assert "Customers erased since then are counted above, but not listed." in visitor.text
    assert "No listed customer had a level at the start and has another one at the end." in visitor.text


def test_who_rose_after_a_first_level_in_the_same_time_is_counted_and_found(place: Place) -> None:
    at_us = moved(place, "mover")
    days = f"since={day_text(at_us // DAY_US * DAY_US - DAY_US)}&until={day_text(at_us // DAY_US * DAY_US)}"
    visitor = Visitor(place).sign_in("investigator").go(f"/console/portfolio/over-time?type=company&{days}")
    assert "0 of the type company have a higher level at the end" in visitor.text
    every_move = "Changes of level in the period (rises, falls and losses), each one counted: 1."
    assert every_move in visitor.text
    (cell,) = [each for each in visitor.links() if "from=none" in each and "to=high" in each]
    assert "after 2 moves" in visitor.go("/console/portfolio/over-time" + cell.replace("&amp;", "&")).text
    of_today = days.partition("&until=")[2]
    visitor.go(f"/console/portfolio/over-time?type=company&since={of_today}&until={of_today}")
    assert "Changes of level" not in visitor.text, "each is in the sentence before"


def test_all_of_a_page_over_time_is_of_one_day(furnished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handler reads several things, and midnight may come between two of them."""
    visitor, reads = Visitor(furnished).sign_in("investigator"), count()

    def a_day_later_each_time(context: Context) -> int:
        return now_microseconds() + next(reads) * DAY_US if context.clock is None else context.clock()

    monkeypatch.setattr(Context, "now", a_day_later_each_time)
    page = visitor.go("/console/portfolio/over-time?type=customer&every=day").page.text
    (until,) = re.findall(r'id="until" name="until" type="date" value="([^"]*)"', page)
    assert re.findall(r'#who">([^<]*)</a>', page)[-1] == until


def test_a_time_that_is_none_is_refused_and_an_empty_one_says_so(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("investigator")
    refused = visitor.go("/console/portfolio/over-time?since=yesterday")
    assert refused.page.status_code == 422
    assert "it must be a day such as 2026-07-01" in visitor.text
    assert visitor.go("/console/portfolio/over-time?since=2026-02-02&until=2026-01-01").page.status_code == 422
    assert visitor.go("/console/portfolio/over-time?from=severe").page.status_code == 422
    before = visitor.go("/console/portfolio/over-time?type=customer&since=2001-01-01&until=2001-01-31")
    assert "0 of the type customer have a higher level" in before.text
    assert "0 have their first one." in before.text
    assert "No listed customer had a level at the start and has another one at the end." in before.text
    ever = visitor.go("/console/portfolio/over-time?type=customer&since=2001-01-01")
    assert "0 have their first one." not in ever.text
    nobody = Visitor(furnished).sign_in("admin", THEIRS).go("/console/portfolio/over-time")
    assert "has had a level yet." in nobody.text
    assert "<svg" not in nobody.page.text


def test_where_too_many_moved_a_shorter_time_is_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    moved(place, "mover")
    monkeypatch.setattr(migration, "MOST_MOVES", -1)
    visitor = Visitor(place).sign_in("investigator").go("/console/portfolio/over-time?type=company")
    assert "choose a shorter period" in visitor.text
    assert '<table class="matrix">' not in visitor.page.text


def test_a_level_that_is_lost_is_no_lower_one() -> None:
    cells = (("high", None, 3), ("high", "low", 2), (None, "low", 4), ("low", "low", 1))
    found = Migration(
        levels=("low", "high"),
        since_us=0,
        until_us=DAY_US,
        moves=5,
        cells=tuple(MigrationCell(from_level=before, to_level=after, entities=count) for before, after, count in cells),
    )
    counts = {move: _count(found, move) for move in ("up", "down", "lost", "first")}
    assert counts == {"up": 0, "down": 2, "lost": 3, "first": 4}
    moves = {
        (before, field.entities): field.move for before, fields in _rows(found, {}, ("", "")) or () for field in fields
    }
    assert (moves["high", 3], moves["high", 2], moves[None, 4]) == ("lost", "down", "first")


@pytest.mark.parametrize(
    "page", ["portfolio?", "portfolio/over-time?", "values?", "search?text=a&", "value-search?text=a&"]
)
def test_a_type_that_is_not_there_is_refused_with_the_nearest_name(place: Place, page: str) -> None:
    visitor = Visitor(place).sign_in("commercial" if page.startswith("value") else "investigator")
    assert visitor.go(f"/console/{page}type=compny").page.status_code == 404
    assert "there is no entity type 'compny'; perhaps company was meant" in unescape(visitor.text)
    assert "This cannot be read" not in visitor.text
    assert page.startswith("search") or '<nav aria-label="Types" class="tabs">' in visitor.page.text, "the page stays"


def test_a_segment_of_values_that_is_none_is_refused_where_the_rows_would_stand(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("commercial").go("/console/values?segment=odd")
    assert visitor.page.status_code == 422
    assert "segment is 'odd'; it must be one of " in unescape(visitor.text)
    assert "Customers by value segment" in visitor.text


@pytest.mark.parametrize("value_pages", [False, True])
def test_who_finds_nothing_reads_that_a_word_is_not_shortened_at_its_beginning(
    place: Place, *, value_pages: bool
) -> None:
    place.good("PUT", "/v1/entities/customer/user_000222", {}, role="app")
    visitor = Visitor(place).sign_in("commercial" if value_pages else "investigator")
    page = "/console/value-search" if value_pages else "/console/search"
    assert "0002 finds 000222, 222 does not" in visitor.go(f"{page}?text=222").text
    assert "user_000222" in visitor.go(f"{page}?text=0002").text


@pytest.mark.parametrize(
    ("page", "stays", "said"),
    [
        ("portfolio?level=mars&segment=top", "Mars, Top value · all levels", "level is 'mars'; it must be one of "),
        ("portfolio?status=odd", "Odd · all levels", "status is 'odd'; it must be one of "),
        ("portfolio/over-time?since=soon&every=day", 'value="soon"', "since is 'soon'; it must be a day such as"),
        ("portfolio/over-time?since=2026-02-02&until=2026-01-01", 'value="2026-01-01"', "ends before its first day"),
        ("portfolio/over-time?from=mars&to=high", "Mars → High", "there is no level 'mars'"),
        ("portfolio/over-time?type=customer&every=year", "By month", "every is 'year'; it must be one of"),
        ("entities/company/acme/timeline?group=odd&clock=happened", "group=facts&amp;clock=happened", "group is 'odd'"),
        ("entities/company/acme/transactions?since=soon&until=2026-01-02", 'value="2026-01-02"', "First day is 'soon'"),
        ("entities/company/acme/transactions?since=2001-01-01", 'value="2001-01-01"', "366 days"),
        ("entities/company/acme/transactions?until=0001-01-01", 'value="0001-01-01"', "from 1900 on and before 9000"),
        ("queue/overrides?since=1899-12-31", 'value="1899-12-31"', "From is '1899-12-31'; it must be an ISO 8601"),
        ("queue/overrides?since=soon", 'value="soon"', "2024-07-01 or 2024-07-01T12:00, from 1900 on and before 9000"),
        ("portfolio/over-time?until=0001-01-01", 'value="0001-01-01"', "from 1900 on and before 9000"),
        ("portfolio/over-time?since=2026-W10-1", 'value="2026-W10-1"', "it must be a day such as 2026-07-01"),
        ("portfolio/over-time?since=2026-02-30", 'value="2026-02-30"', "it must be a day such as 2026-07-01"),
        ("queue/overrides?since=2026-W10-1", 'value="2026-W10-1"', "such as 2024-07-01 or 2024-07-01T12:00"),
    ],
)
def test_a_wrong_filter_is_refused_where_the_rows_would_stand(
    furnished: Place, page: str, stays: str, said: str
) -> None:
    visitor = Visitor(furnished).sign_in("investigator").go(f"/console/{page}")
    assert visitor.page.status_code == 422
    assert said in unescape(visitor.text)
    assert stays in visitor.page.text or stays in visitor.text
    assert "This cannot be read" not in visitor.page.text
