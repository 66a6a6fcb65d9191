"""A customer's page: the level with its reasons, and text that is no markup."""

import re

import pytest
from sqlalchemy import text as sql

from fivefold.domain.clock import DAY_US, now_microseconds, utc_text
from fivefold.usecases.changes import effects
from fivefold.usecases.changes.contents import TagChanged
from fivefold.usecases.changes.proposals import request_change
from fivefold.usecases.levels.lowering import Fall
from fivefold.usecases.shared.context import Context
from tests.console.customers import ACME, CUSTOMER, ENTITY, assess_now, fail_assessment
from tests.console.visitors import ORIGIN, Visitor, levels_stay
from tests.serving.v1.places import OURS, Place

PROPOSED = {"state": "proposed", "type": "company"}
MARKUP = "<script>alert('x')</script>\"'&{{ 7*7 }}"


def test_the_page_says_what_v1_says(place: Place, investigator: Visitor) -> None:
    level = assess_now(place)
    investigator.go(CUSTOMER)
    reasons = level["reasons"]
    assert isinstance(reasons, dict)
    assert str(reasons["line"]) in investigator.text
    for rule in reasons["rules"]:
        assert rule["title"] in investigator.text
        for seen in rule["values"]:
            assert seen["value"] in investigator.text
    assert str(level["level"]).capitalize() in investigator.text


def test_the_page_names_the_rulesets_that_keep_a_customer(place: Place, investigator: Visitor) -> None:
    level = assess_now(place)
    assert "These rulesets keep the customer" not in investigator.go(CUSTOMER).text
    with place.engine.begin() as connection:
        family = connection.execute(sql("SELECT id, name FROM ruleset_families ORDER BY id LIMIT 1")).one()
        entity_id = str(level["assessment"]).partition(".")[0]
        connection.execute(
            sql("UPDATE standings SET kept_by = :kept_by WHERE entity_id = :entity_id"),
            {"kept_by": f"[{family.id}]", "entity_id": int(entity_id)},
        )
    shown = investigator.go(CUSTOMER).text
    assert f"so that a missing value does not lower the level: {family.name}." in shown


def test_the_page_names_the_changes_that_wait_to_those_who_may_see_them(place: Place) -> None:
    """Whoever looks at the customer need not know that there is a queue of changes."""
    entity, page = "/v1/entities/company/waits", "/console/entities/company/waits"
    place.good("PUT", entity, {"attributes": {"size": 1}}, role="app")
    place.good("GET", f"{entity}/risk", params={"freshness": "now"}, role="investigator")
    given = place.good("POST", f"{entity}/overrides", {"level": "high", "reason": "A court"}, role="investigator")
    place.good("POST", f"/v1/overrides/{given['id']}/approve", {}, role="approver")
    admin = Visitor(place).sign_in("admin")
    assert "Changes that wait" not in admin.go(page).text
    place.good("POST", f"/v1/overrides/{given['id']}/revoke", {"reason": "It was <b>lifted</b>"}, role="approver")
    (line,) = place.good("GET", "/v1/proposals/search", role="admin", params={**PROPOSED, "external_id": "waits"})
    shown = rf"change {line['id']} ?: end of an override, end of override {given['id']}\. Proposed by the approver,"
    admin.go(page)
    assert re.search(shown, admin.text)
    assert "It was &lt;b&gt;lifted&lt;/b&gt;" in admin.page.text
    assert (
        "It is waiting for approval by a person other than the one who proposed it. Who may decide: Approver, Admin."
        in admin.text
    )
    assert f"/console/proposals/{line['id']}" in admin.links()
    assert f"A proposed change is waiting for another person: change {line['id']}" in admin.text
    assert "End this override" not in admin.text
    approver = Visitor(place).sign_in("approver").go(page)
    assert "You proposed it, so another person has to approve it. Who may decide: Approver, Admin." in approver.text
    assert "Changes that wait" not in Visitor(place).sign_in("investigator").go(page).text
    place.good("POST", f"/v1/proposals/{line['id']}/refuse", {"reason": "No."}, role="admin")
    assert "Changes that wait" not in admin.go(page).text
    assert "End this override" in admin.text


def test_a_change_says_until_when_the_cooldown_holds_the_level_that_would_fall(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.good("GET", "/v1/entities/company/acme/risk", params={"freshness": "now"}, role="investigator")
    context = Context(place.engine, place.actor("investigator"), now_microseconds)
    until_us = now_microseconds() + DAY_US
    with place.engine.begin() as connection:
        entity = connection.execute(sql("SELECT id FROM entities WHERE external_id = 'acme' LIMIT 1")).scalar_one()
        held = {"until_us": until_us, "entity": entity}
        connection.execute(sql("UPDATE standings SET may_move_down_us = :until_us WHERE entity_id = :entity"), held)
    high, low = ("high", "high", "high"), ("low", "low", "low")
    fall = Fall(
        entity_type="company", external_id="acme", before=high, after=low, through=frozenset({entity}), entity=entity
    )
    monkeypatch.setattr(effects, "falls_by", lambda *_: [fall])
    proposed = {"falls": [{"entity_type": "company", "external_id": "acme", "before": high, "after": ("medium",) * 3}]}
    change = request_change(context, TagChanged(entity, "disputed", None, True), "held", proposed).proposal
    assert change is not None
    admin = Visitor(place).sign_in("admin").go(f"/console/proposals/{change.id}")
    assert f"The cooldown holds the level of acme until {utc_text(until_us)[:10]}" in admin.text
    assert re.search(r"Who is affected as of now .*acme by the rules: level from high to low;", admin.text)
    assert re.search(r"When it was proposed .*acme by the rules: level from high to medium;", admin.text)
    assert "The tag: disputed since" in admin.text
    monkeypatch.setattr(effects, "falls_by", lambda *_: [])
    assert "are not those that were looked at" in admin.submit("/approve", reason="seen").text
    assert "Levels none falls" in admin.text
    monkeypatch.setattr(effects, "falls_by", lambda *_: [fall])
    admin.go(f"/console/proposals/{change.id}")
    place.good("POST", f"/v1/proposals/{change.id}/refuse", {"reason": "No."}, role="admin")
    assert "The cooldown holds the level of acme" not in admin.go(f"/console/proposals/{change.id}").text


def test_an_investigator_sees_no_threshold_and_no_other_case(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    profile = place.good("GET", ENTITY, role="publisher")["risk"]
    titles = {rule["case"] for rule in profile["reasons"]["rules"]}
    asked = {rule["asked"] for rule in profile["breakdown"]["rules"] if rule["asked"]} - titles
    assert "country" in str(profile["breakdown"])
    text = investigator.go(CUSTOMER).text
    assert not [condition for condition in asked if condition in text]


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"level": "huge", "reason": "x"}, "there is no level 'huge'"),
        ({"level": "high", "reason": "  "}, "Reason is empty"),
        ({"level": "high", "reason": "x", "until": "tomorrow"}, "Ends on is 'tomorrow'"),
        ({"level": "high", "reason": "x", "until": "2001-01-01"}, "which is past"),
    ],
)
def test_what_is_wrong_is_said_on_the_page_and_what_was_typed_is_kept(
    investigator: Visitor, typed: dict[str, str], problem: str
) -> None:
    investigator.go(ACME).submit("/override", **typed)
    assert investigator.page.status_code in {409, 422}
    assert problem in investigator.page.text.replace("&#39;", "'")
    assert "Nothing was changed" in investigator.text
    assert "<details open>" in investigator.page.text


def test_links_lead_to_those_whom_a_customer_is_linked_to(place: Place, investigator: Visitor) -> None:
    kinds = {"links": {"household": "shared", "owns": "directed"}}
    place.good("PUT", "/v1/entity-types/company", kinds, role="admin")
    place.good("PUT", "/v1/entities/company/b%2F2", {}, role="app")
    place.good("PUT", "/v1/entities/company/b%2F3", {}, role="app")
    assert "household" not in investigator.go(ACME).text
    rows = [
        ("owns", "acme", "b/2"),
        ("household", "acme", "H 1"),
        ("household", "b/3", "H 1"),
        ("owns", "b/3", "acme"),
    ]
    links = [{"type": kind, "from": name, "to": to} for kind, name, to in rows]
    assert place.good("POST", "/v1/links/company", links, role="app")["new"] == 4
    investigator.go(ACME)
    assert "H 1, shared by b/3" in investigator.text
    assert {"/console/entities/company/b%2F2", "/console/entities/company/b%2F3"} <= set(investigator.links())


def test_stored_text_is_never_markup(place: Place, investigator: Visitor) -> None:
    place.good("PUT", "/v1/entities/company/acme", {"attributes": {"size": 3}}, role="app")
    place.good("PUT", "/v1/entities/customer/%3Cb%3E%26", {}, role="app")
    investigator.go("/console/entities/customer/%3Cb%3E%26").submit("/tag", tag=MARKUP)
    for _ in range(2):
        assert "<script>" not in investigator.page.text
        assert "<b>&" not in investigator.page.text
        assert "{{ 7*7 }}" in investigator.text
        investigator.go("/console/entities/customer/%3Cb%3E%26")
    investigator.go(ACME).submit("/override", level="high", reason=MARKUP)
    assert "<script>" not in investigator.page.text
    assert "<script>" not in investigator.go("/console/queue").page.text
    assert "alert" in investigator.text


def test_a_customer_without_anything_has_a_page(
    place: Place, investigator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels_stay(monkeypatch)
    place.good("PUT", "/v1/entities/customer/new", {}, role="app")
    text = investigator.go("/console/entities/customer/new").text
    assert investigator.page.status_code == 200
    assert "There is no assessment." in text
    assert "There is no value" in text


def test_a_customer_that_is_not_there_is_said(investigator: Visitor) -> None:
    investigator.go("/console/entities/customer/nobody")
    assert investigator.page.status_code == 404
    assert "nobody" in investigator.text


def test_compute_again_takes_what_came_since(place: Place, investigator: Visitor) -> None:
    place.good("PUT", "/v1/entities/customer/later", {"attributes": {}}, role="app")
    investigator.go("/console/entities/customer/later").submit("/assess")
    assert "The level was computed again." in investigator.text
    assert "permanent address" in investigator.text


STAYS = "so the level of the rules stays; only a rule that sets a floor can raise it."


def test_a_level_that_stays_after_a_failed_assessment_is_shown_as_such(place: Place, investigator: Visitor) -> None:
    level = fail_assessment(place)
    assert (level["status"], level["level"]) == ("failed", "medium")
    text = investigator.go(CUSTOMER).text
    assert re.search("Risk Medium since .{5,30} · last assessment: failed", text)
    assert f"The assessment failed, {STAYS}" in text
    again = investigator.submit("/assess").text
    assert "It was tried again, and could not be assessed in full." in again
    assert "The level was computed again." not in again
    text = investigator.go(f"/console/assessments/{level['assessment']}").text
    assert "Risk Medium failed ·" in text
    assert f"The assessment failed, {STAYS}" in text
    assert "Medium failed Medium" in investigator.go(f"{CUSTOMER}/history").text
    nothing = "The last assessment failed, so there is no answer."
    assert f"{nothing} Cash" in Visitor(place).sign_in("publisher").go(f"{CUSTOMER}/what-if").text
    assert nothing in investigator.go(f"{CUSTOMER}/what-if").text
    assert f"{nothing} Cash" not in investigator.text
    with place.engine.begin() as connection:
        connection.execute(sql("UPDATE standings SET status = 'undetermined'"))
    text = investigator.go(CUSTOMER).text
    assert re.search("Risk Medium since .{5,30} · last assessment: undetermined", text)
    assert f"It is unknown whether the ruleset applies, {STAYS}" in text


def test_a_level_that_could_not_be_computed_again_is_said_in_the_lead_line_and_in_the_list(
    place: Place, investigator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assess_now(place)
    levels_stay(monkeypatch)
    with place.engine.begin() as connection:
        connection.execute(sql("UPDATE standings SET may_move_down_us = 32503680000000000"))
        connection.execute(sql("UPDATE due_marks SET error = 'it broke', quarantined = true"))
    text = investigator.go(CUSTOMER).text
    assert re.search("Risk Medium since .{5,30} · last assessment: failed", text)
    assert text.count("The last assessment failed.") == 1
    assert "May move to a lower level" not in text
    assert "Medium failed" in investigator.go("/console/portfolio?type=customer").text
    export = investigator.go(CUSTOMER).submit("/export-json").page.json()
    stands = {name: export[name] for name in ("level", "status", "failing", "may_move_down_on")}
    assert stands == {"level": "medium", "status": "assessed", "failing": True, "may_move_down_on": None}


def test_history_leads_to_the_permanent_address_of_each_assessment(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    investigator.go("/console/entities/customer/c%2F1%20%C3%A4/history")
    (first, *_) = [link for link in investigator.links() if "/assessments/" in link]
    investigator.go(first)
    assert investigator.page.status_code == 200
    assert "What counted" in investigator.text


def test_a_place_that_no_page_named_is_refused(investigator: Visitor) -> None:
    investigator.go("/console/portfolio?level=low&after=nonsense")
    assert investigator.page.status_code == 422
    assert "leads to no part of the list" in investigator.text


def test_roles_are_said_on_the_page_of_the_session(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher").go("/console/session")
    assert "publisher" in visitor.text
    assert OURS in visitor.text


def test_of_each_list_the_first_rows_are_shown_and_the_whole_of_it_is_led_to(
    place: Place, investigator: Visitor
) -> None:
    assert "all=tags" not in investigator.go(ACME).page.text
    for number in range(11):
        place.good("PUT", f"/v1/entities/company/acme/tags/t{number:02}", {}, role="investigator")
        place.good("PUT", f"/v1/entities/company/acme/alerts/a{number}", {"opened_at": "2026-11-01"}, role="app")
        override = {"level": "high", "reason": f"reason {number}"}
        place.good("POST", "/v1/entities/company/acme/overrides", override, role="investigator")
    trail = "?queue=kind%3Doverride"
    investigator.go(f"{ACME}{trail}")
    assert f"{ACME}{trail}&all=tags" in investigator.links()
    assert "End t00" not in investigator.text
    for name, last in (("overrides", "reason 0"), ("alerts", "a0 1 November 2026"), ("tags", "End t00")):
        assert last not in investigator.go(ACME).text
        assert last in investigator.go(f"{ACME}?all={name}").text
        assert f"{ACME}?all={name}" not in investigator.links()
    form = next(form for form in investigator.forms() if form.fields.get("tag") == "t00")
    investigator.post(form.action, form.fields)
    assert "The tag is ended." in investigator.text


TURNED = "Anna \u202eevil\u202c x"
"""A browser would show it as `Anna live x`."""


def test_characters_that_are_not_seen_are_shown_by_their_numbers_but_in_fields(
    place: Place, investigator: Visitor
) -> None:
    fields = {"country": "country", "name": "text"}
    place.good("PUT", "/v1/entity-types/customer", {"fields": fields}, role="admin")
    for number, name in enumerate((TURNED, "\u05d0\u05d1\u05d2 \u05d3", "\u0645\u062d\u0645\u062f")):
        path = f"/v1/entities/customer/person{number}"
        place.good("PUT", path, {"attributes": {"name": name}}, role="app")
        for page in (f"/console/search?text=person{number}", path.replace("/v1", "/console")):
            text = investigator.go(page).page.text
            assert name.replace("\u202e", "[U+202E]").replace("\u202c", "[U+202C]") in text
            assert "\u202e" not in text
    sent = {"reason": TURNED, "level": "high", "until": "no day"}
    refused = investigator.go("/console/entities/customer/person0").submit("/override", **sent)
    assert refused.page.status_code == 422
    assert f"{TURNED}</textarea>" in refused.page.text


def test_a_floor_is_a_step_on_the_scale_and_thresholds_are_for_those_who_may_read_rulesets(
    place: Place, investigator: Visitor
) -> None:
    address = "/console/entities/customer/floored"
    place.good("PUT", address.replace("/console", "/v1"), {"attributes": {"country": "KP"}}, role="app")
    place.good("GET", f"{address.replace('/console', '/v1')}/risk", params={"freshness": "now"}, role="investigator")
    text = investigator.go(address).text
    assert "500 points alone would give Medium. Country of residence: High ." in text
    assert 'class="floor"' in investigator.page.text
    assert not [threshold for threshold in ("314.15", "772.01") if threshold in investigator.page.text]
    shown = Visitor(place).sign_in("publisher").go(address).page.text
    assert "Low, Medium from 314.15, High from 772.01 (holds)." in shown


def test_without_a_floor_there_is_no_step(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    investigator.go(CUSTOMER)
    assert 'class="scale"' in investigator.page.text
    assert 'class="floor"' not in investigator.page.text
    assert "points alone would" not in investigator.text


def test_an_assessment_says_of_whom_it_is_when_it_was_made_and_what_decided(
    place: Place, investigator: Visitor
) -> None:
    number = assess_now(place)["assessment"]
    text = investigator.go(f"/console/assessments/{number}").text
    assert CUSTOMER in investigator.links()
    assert "c/1 ä customer · assessed" in text
    assert "Risk Medium · decided by retail version 1" in text
    assert 'assessed <time datetime="' in investigator.page.text


def test_a_level_is_computed_for_the_page_where_anything_happened_since(place: Place, investigator: Visitor) -> None:
    before = assess_now(place)
    assert investigator.go(CUSTOMER).page.status_code == 200
    params = {"freshness": "stored"}
    stands = place.good("GET", f"{ENTITY}/risk", params=params, role="investigator")
    assert stands["assessment"] == before["assessment"], "nothing happened"
    place.good("PUT", ENTITY, {"attributes": {"country": "KP"}}, role="app")
    text = investigator.go(CUSTOMER).text
    after = place.good("GET", f"{ENTITY}/risk", params=params, role="investigator")
    assert after["assessment"] != before["assessment"]
    assert after["reasons"]["line"] in text
    assert "Data changed since then" not in text


def test_where_no_level_can_be_stored_and_no_worker_runs_the_page_says_that_the_level_stays(
    place: Place, investigator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assess_now(place)
    place.good("PUT", ENTITY, {"attributes": {"country": "SE"}}, role="app")
    levels_stay(monkeypatch)
    ended, lost = (
        f"No worker is running: the last one {what} at"
        for what in ("shut down", "did not shut down, and was last seen")
    )
    for seconds, is_ended, says in (
        (None, False, "No worker is running, and none was seen in the last day."),
        (10, False, ""),
        (10, True, ended),
        (200, False, lost),
    ):
        with place.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM workers")
            if seconds is not None:
                seen_us = now_microseconds() - seconds * 1_000_000
                ended_us = seen_us if is_ended else "NULL"
                values = f"(1, {seen_us}, {ended_us})"
                connection.exec_driver_sql(f"INSERT INTO workers (started_us, seen_us, ended_us) VALUES {values}")
        assert says in investigator.go(CUSTOMER).text
        assert ("The level stays until a worker runs" in investigator.text) is bool(says)
        assert ("the level will be computed again soon" in investigator.text) is not says


def test_the_sentence_and_its_permanent_address_stand_in_one_field(place: Place, investigator: Visitor) -> None:
    level = assess_now(place)
    investigator.go(CUSTOMER)
    assert isinstance(level["reasons"], dict)
    assert re.search(rf'readonly value="[^"]+ {ORIGIN}/console/assessments/1\.[0-9]+"', investigator.page.text)
