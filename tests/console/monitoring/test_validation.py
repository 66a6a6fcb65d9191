"""The page of validation: figures as they were stored, gaps with their reason, material changes under four eyes."""

import copy
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.console.visit import Visit
from fivefold.domain.clock import DAY_US, HOUR_US, from_microseconds, now_microseconds, parse_moment
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import EvidenceJob, MaterialChange, ValidationJob, ValidationRun
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.evidence.archive import check_archive
from fivefold.usecases.evidence.jobs import evidence_jobs, request_evidence
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.monitoring.validate import VALIDATION, request_validation
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.inputs import read_quarter
from fivefold.usecases.shared.jobs import run_next_job
from tests.console.test_queries import count
from tests.console.visitors import ORIGIN, Visitor
from tests.serving.v1.examples import QUARTER
from tests.serving.v1.places import OURS, THEIRS, Place

PAGE = "/console/validation"
QUARTER_US = (parse_moment("2025-10-01", "from"), parse_moment("2026-01-01", "until"))


def measured(place: Place, quarters: int, gini: float = 0.71, missed: float = 0.29) -> None:
    """Keep validations of quarters before the one that is there, with figures that rest on enough."""
    with Session(place.engine) as session, session.begin():
        row = session.scalars(select(ValidationRun)).first()
        assert row is not None
        for back in range(1, quarters + 1):
            report = copy.deepcopy(row.report)
            overall = report["groups"][0]
            figure = {"of": 60, "answer": "measured", "estimate": gini, "low": gini - 0.05, "high": gini + 0.05}
            overall["ranked"]["gini"] = figure
            overall["caught"] |= {"captured": figure, "missed": {**figure, "estimate": missed}, "possible": 0.9}
            overall["drift"] |= {"index": 0.124, "verdict": "moving"}
            overall["levels"][0] |= {"alerts_confirmed": 30, "not_confirmed": 70}
            shift = back * 90 * 86_400_000_000
            session.add(
                ValidationRun(
                    organisation_id=row.organisation_id,
                    trigger=f"quarter {back} before",
                    from_us=row.from_us - shift,
                    until_us=row.until_us - shift,
                    made_us=row.made_us - shift,
                    report=report,
                )
            )


def test_a_figure_that_rests_on_too_few_says_so_and_is_no_zero(place: Place) -> None:
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    assert "too few: 0 of 50" in visitor.text
    assert "A revalidation is required by material change" in visitor.text
    assert re.search(r"Triggers that are not known, as there was too little data: \d+ of \d+\.", visitor.text)
    assert re.search(r"Material change overall reached 1 ", visitor.text), "a count, without decimals"
    assert "0 of 1 validations could measure it" in visitor.text
    assert visitor.page.text.count('<circle class="dot"') <= 1  # overrides alone are counted of everybody
    assert "no customer confirmed" in visitor.text


def test_figures_are_those_that_were_stored_the_latest_time_first(place: Place) -> None:
    measured(place, 3)
    visitor = Visitor(place).sign_in("publisher").go(PAGE)
    assert "0.710 0.660 to 0.760" in visitor.text
    assert "moving 0.124" in visitor.text
    assert "30.0 % 2" in visitor.text  # 30 of 100 alerts of all levels, with their interval
    rows = [link for link in visitor.links() if link.startswith(f"{PAGE}/")]
    assert rows[:2] == [f"{PAGE}/1", f"{PAGE}/2"]
    assert "3 of 4 validations could measure it" in visitor.text


def test_a_figure_beyond_its_limit_is_not_written_as_the_limit(place: Place) -> None:
    measured(place, 1, 0.5998, 0.2003)
    visitor = Visitor(place).sign_in("publisher").go(PAGE)
    assert "recalibrate below 0.60" in visitor.text
    assert "0.5998 0.550 to 0.650" in visitor.text
    assert "at most 20 %" in visitor.text
    assert "20.03 % 55.0 % to 65.0 %" in visitor.text


def test_older_validations_are_on_the_next_page(place: Place) -> None:
    measured(place, 13)
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    older = next(link for link in visitor.links() if "after=" in link)
    assert "quarter 13 before" not in visitor.text
    assert "quarter 13 before" in visitor.go(older.replace("&amp;", "&")).text


def test_beside_older_validations_stands_the_last_one_and_what_was_made_since_a_change(place: Place) -> None:
    measured(place, 13)
    Visitor(place).sign_in("publisher").go(PAGE).submit("/change", kind="channel", description="An app")
    number = place.good("POST", "/v1/validations", QUARTER, role="publisher")["id"]
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    last = visitor.text.partition("The last validation covers")[2].partition("A validation is carried out once")[0]
    visitor.go(next(link for link in visitor.links() if "after=" in link).replace("&amp;", "&"))
    assert "quarter 13 before" in visitor.text
    assert (
        visitor.text.partition("The last validation covers")[2].partition("A validation is carried out once")[0] == last
    )
    assert "No validation has been carried out since it was registered" not in visitor.text
    assert f'<option value="{number}">' in visitor.page.text


def test_a_clock_that_was_ahead_at_one_change_hides_no_validation_from_the_next(place: Place) -> None:
    publisher = Visitor(place).sign_in("publisher").go(PAGE).submit("/change", kind="channel", description="An app")
    publisher.go(PAGE).submit("/change", kind="product", description="A loan")
    with Session(place.engine) as session, session.begin():
        oldest = session.scalars(select(MaterialChange).order_by(MaterialChange.id)).first()
        assert oldest is not None
        oldest.registered_us += 400 * DAY_US
    number = place.good("POST", "/v1/validations", QUARTER, role="publisher")["id"]
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    assert visitor.text.count("No validation has been carried out since it was registered") == 1
    assert f'<option value="{number}">' in visitor.page.text


def test_more_validations_take_no_more_statements(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin")
    few = count(visitor, PAGE)
    measured(place, 11)
    assert count(visitor, PAGE) == few <= 20


def test_one_validation_is_shown_as_its_page_for_people(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("admin").go(f"{PAGE}/1")
    assert "Triggers of a revalidation" in visitor.text
    assert "Trigger About Answer Found Condition Source of the limit" in visitor.text
    assert re.search(r"made on \d{4}-\d\d-\d\d \d\d:\d\d UTC: requested", visitor.text)
    assert "Under" not in visitor.text
    assert visitor.go(f"{PAGE}/999").page.status_code == 404
    assert visitor.go(f"{PAGE}/x").page.status_code == 422


def test_nothing_was_validated_yet(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("admin", THEIRS).go(PAGE)
    assert "No validation has been carried out yet, so there are no figures." in visitor.text
    assert "<svg role" not in visitor.page.text


def test_two_people_close_a_change_that_asks_for_a_revalidation(place: Place) -> None:
    author = Visitor(place).sign_in("publisher").go(PAGE)
    author.submit("/change", kind="channel", description="<b>An app</b>")
    assert "The change is registered." in author.text
    assert "&lt;b&gt;An app&lt;/b&gt;" in author.page.text
    assert author.text.count("An app") == 1
    assert (
        "No validation has been carried out since it was registered" in Visitor(place).sign_in("approver").go(PAGE).text
    )
    number = place.good("POST", "/v1/validations", QUARTER, role="publisher")["id"]
    assert "You registered it, so another person has to sign it off." in author.go(PAGE).text
    approver = Visitor(place).sign_in("approver").go(PAGE)
    approver.submit("/sign-off-change", change="2", validation=str(number), conclusion="Nothing changes.")
    assert "The change is signed off." in approver.text
    assert "Signed off by the approver" in approver.text
    approver.go(PAGE).submit("/sign-off-change", change="2", validation=str(number), conclusion="Again.")
    assert "was signed off already" in approver.text


def test_every_open_change_can_be_signed_off_and_signed_ones_are_read_page_by_page(place: Place) -> None:
    for number in range(2, 26):
        change = {"kind": "channel", "description": f"app {number};"}
        place.good("POST", "/v1/material-changes", change, role="publisher")
    run = place.good("POST", "/v1/validations", QUARTER, role="publisher")["id"]
    approver = Visitor(place).sign_in("approver").go(PAGE)
    shown = re.findall(r"app (\d+);", approver.text)
    assert shown == [str(number) for number in range(2, 26)], "the oldest first"
    for number in range(2, 24):
        said = {"validation": run, "conclusion": "fine"}
        place.good("POST", f"/v1/material-changes/{number}/sign-off", said, role="approver")
    read = re.findall(r"app (\d+);", approver.go(PAGE).text)
    assert read == [*(str(number) for number in range(24, 26)), *(str(number) for number in range(23, 3, -1))]
    (earlier,) = [link for link in approver.links() if "after_changes=" in link]
    assert "app 2;" in approver.go(earlier.replace("&amp;", "&")).text
    assert "app 24;" in approver.text
    assert [link for link in approver.links() if "after_changes=" in link] == []


def test_a_change_is_registered_once_by_one_form_and_twice_by_two(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher").go(PAGE)
    form = next(form for form in visitor.forms() if form.action.endswith("/change"))
    typed = {**form.fields, "kind": "channel", "description": "a till"}
    visitor.post(form.action, typed)
    assert visitor.post(form.action, typed).page.status_code == 409
    assert "this form was already sent" in visitor.text
    assert visitor.go(PAGE).text.count("a till") == 1
    visitor.submit("/change", kind="channel", description="a till")
    assert visitor.go(PAGE).text.count("a till") == 2


def test_a_change_of_another_organisation_is_not_there(place: Place) -> None:
    measured(place, 1)
    visitor = Visitor(place).sign_in("admin", THEIRS)
    token = visitor.go("/console/session").forms()[0].fields["form_token"]
    typed = {"change": "1", "validation": "1", "conclusion": "mine"}
    assert visitor.post(f"{PAGE}/sign-off-change", {"form_token": token, **typed}).page.status_code == 404
    refused = visitor.post(f"{PAGE}/sign-off-change", {"form_token": token, **typed, "change": "x"})
    assert refused.page.status_code == 422


def test_the_series_over_v1_has_the_same_figures(place: Place) -> None:
    measured(place, 1)
    newest, before = place.good("GET", "/v1/validation-series", role="approver")
    assert newest["gini"] == {"of": 0, "answer": "too few", "estimate": None, "low": None, "high": None}
    assert (before["gini"]["estimate"], before["drift"], before["possible"]) == (0.71, 0.124, 0.9)
    assert before["conversion"]["of"] == 100


def test_a_person_who_wrote_none_of_its_rulesets_signs_a_validation_off_once(place: Place) -> None:
    with Session(place.engine) as session, session.begin():
        row = session.scalars(select(ValidationRun)).one()
        group = {**row.report["groups"][0], "ruleset": "retail", "version": 1}
        row.report = {**row.report, "groups": [row.report["groups"][0], group]}
        of_retail = select(RulesetVersion).join(Family).where(Family.name == "retail", RulesetVersion.number == 1)
        version = session.scalars(of_retail).one()
        wrote = {*version.editors, version.committed_by}
    roles = {f"member:{place.members[OURS, role]}": role for role in ("publisher", "approver", "admin")}
    authors = [role for name, role in roles.items() if name in wrote]
    others = [role for name, role in roles.items() if name not in wrote]
    for role in authors:
        refused = Visitor(place).sign_in(role).go(f"{PAGE}/1").submit("/sign-off", conclusion="mine")
        assert refused.page.status_code == 409
        assert "wrote a ruleset that validation 1 looks at" in refused.text
    signer = Visitor(place).sign_in(others[0]).go(f"{PAGE}/1")
    signer.submit("/sign-off", conclusion="<b>Fit</b> for a quarter")
    assert "The validation is signed off." in signer.text
    assert f"Signed off by the {others[0]}" in signer.text
    assert "&lt;b&gt;Fit&lt;/b&gt; for a quarter" in signer.page.text
    assert f"signed off by the {others[0]}" in signer.go(PAGE).text
    again = place.ask("POST", "/v1/validations/1/sign-off", {"conclusion": "again"}, role=others[0])
    assert (again.status_code, "was signed off already" in again.text) == (409, True)
    actions = [each["action"] for each in place.good("GET", "/v1/audit", role="admin", params={"limit": 1000})]
    assert actions.count("validation.signed_off") == 1


def test_without_a_validation_what_was_decided_today_counts_and_the_caption_has_the_time_of_the_figures(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = now_microseconds() // DAY_US
    now = today * DAY_US + 13 * HOUR_US + HOUR_US // 2
    first, tomorrow = (from_microseconds(day * DAY_US).date() for day in (today - 89, today + 1))
    monkeypatch.setattr(Visit, "now", lambda _: now)
    put_entities(Context(place.engine, place.actor("admin", THEIRS)), "customer", [EntityRow("mine", {})])
    with Session(place.engine) as session, session.begin():
        of = session.scalars(select(Entity).where(Entity.external_id == "mine")).one()
        words = {"level": 1, "reason": "because", "requested_by": "member:1", "state": "refused"}
        times = {"requested_us": now - 2 * HOUR_US, "decided_us": now - HOUR_US}
        session.add(OverrideRow(organisation_id=of.organisation_id, entity_id=of.id, **words, **times))
    visitor = Visitor(place).sign_in("admin", THEIRS).go(PAGE)
    assert f"Decisions from {first.day} {first:%B %Y} to today" in visitor.text
    assert "Overrides, until another person decided 1 1.0 hours" in visitor.text
    asked = {"begins": str(first), "ends": str(tomorrow)}
    shown = place.good("GET", "/v1/work-figures", params=asked, token=place.tokens[THEIRS, "admin"])
    assert [each["decided"] for each in shown["figures"]] == [1, 0, 0, 0, 0]


def test_time_to_decide_says_what_is_not_known_and_is_no_zero(place: Place) -> None:
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    assert "Cases, until closed 0 nothing was decided nothing was decided nothing was decided" in visitor.text
    with Session(place.engine) as session, session.begin():
        run = session.scalars(select(ValidationRun)).one()
        first = session.scalars(select(OverrideRow).order_by(OverrideRow.id)).first()
        assert first is not None
        words = {"level": 1, "reason": "because", "requested_by": "member:1", "state": "revoked"}
        times = {
            "requested_us": run.from_us,
            "decided_us": run.from_us + 3 * HOUR_US,
            "revoked_us": run.from_us + DAY_US,
        }
        session.add(OverrideRow(organisation_id=run.organisation_id, entity_id=first.entity_id, **words, **times))
    visitor.go(f"{PAGE}/1")
    assert "Overrides, until another person decided 1 3.0 hours 3.0 hours 1 100.0 %" in visitor.text
    asked = {"begins": "2020-01-01", "ends": "2020-02-01"}
    figures = place.good("GET", "/v1/work-figures", params=asked, role="publisher")["figures"]
    assert [(each["decided"], each["median_hours"]) for each in figures] == [(0, None)] * 5
    assert place.ask("GET", "/v1/work-figures", params=asked, role="investigator").status_code == 403


def test_a_validation_is_asked_for_made_by_a_worker_and_in_the_log_once(place: Place) -> None:
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    visitor.submit("/validate", quarter="2025Q4", reason="<b>the year</b>")
    assert "The validation is requested. A worker carries it out." in visitor.text
    assert "It is waiting for a worker." in visitor.text
    job = visitor.page.url.path
    assert job in visitor.links(), "how far it is, without a script"
    second = Visitor(place).sign_in("publisher").go(PAGE).submit("/validate", quarter="2025Q4", reason="mine")
    assert second.page.url.path == job
    assert "That quarter is already being validated." in second.text
    assert "1 October 2025 to 31 December 2025" in second.go(PAGE).text.partition("Validate a quarter")[0]
    assert run_next_job(place.engine, VALIDATION)
    assert not run_next_job(place.engine, VALIDATION)
    assert "It is done." in visitor.go(job).text
    assert "hx-trigger" not in visitor.page.text
    assert "&lt;b&gt;the year&lt;/b&gt;" in visitor.page.text
    assert "In progress" not in visitor.go(f"{PAGE}/2").go(PAGE).text
    assert "&lt;b&gt;the year&lt;/b&gt;" in visitor.page.text
    made = place.good("GET", "/v1/audit/search", params={"action": "levels.validated"}, role="admin")
    assert len(made) == 2, "one of them is the place's own"


def test_a_quarter_that_cannot_be_validated_is_refused_at_once(place: Place) -> None:
    visitor = Visitor(place).sign_in("approver").go(PAGE)
    visitor.submit("/validate", quarter="2097Q1", reason="the future")
    assert visitor.page.status_code == 422
    assert "which is still to come; it must be over" in visitor.text
    visitor.go(PAGE).submit("/validate", quarter="summer")
    assert "it must be a year and a quarter from Q1 to Q4" in visitor.text
    assert not [form for form in visitor.forms() if form.action.endswith("/evidence")]
    assert not run_next_job(place.engine, VALIDATION)


def test_how_far_a_validation_is_and_why_it_failed_stay_on_its_page(place: Place) -> None:
    number = asked_for(place)
    page = f"{PAGE}/jobs/{number}"
    with Session(place.engine) as session, session.begin():
        session.get_one(ValidationJob, number).state = "running"
        session.get_one(ValidationJob, number).part = "customers whose levels are read"
        session.get_one(ValidationJob, number).done, session.get_one(ValidationJob, number).total = 20_000, 100_000
    visitor = Visitor(place).sign_in("approver").go(page)
    assert "20,000 of 100,000 customers whose levels are read" in visitor.text
    assert 'hx-trigger="every 2s"' in visitor.page.text
    with Session(place.engine) as session, session.begin():
        session.get_one(ValidationJob, number).state = "failed"
        session.get_one(ValidationJob, number).error = "it broke off: <i>"
    assert "It failed; there are no results." in visitor.go(page).text
    assert "it broke off: &lt;i&gt;" in visitor.page.text
    assert "Request it again" in visitor.text
    assert Visitor(place).sign_in("admin", THEIRS).go(page).page.status_code == 404
    assert Visitor(place).sign_in("investigator").go(page).page.status_code == 403


def asked_for(place: Place) -> int:
    """A validation that is waiting for a worker."""
    context = Context(place.engine, place.actor("approver"))
    return request_validation(context, QUARTER_US[0], QUARTER_US[1], "the year")[0].id


def test_an_administrator_takes_the_evidence_of_a_quarter_and_the_log_keeps_that(place: Place, tmp_path: Path) -> None:
    visitor = Visitor(place).sign_in("admin").go(PAGE)
    visitor.submit("/evidence", quarter="2026Q1")
    page = visitor.page.url.path
    assert "It is waiting for a worker." in visitor.text
    visitor.go(PAGE).submit("/evidence", quarter="2026Q1")
    assert "The evidence of that quarter is already being collected." in visitor.text
    assert visitor.page.url.path == page
    assert run_next_job(place.engine, evidence_jobs(None))
    assert "It is collected" in visitor.go(page).text
    visitor.submit("/take")
    assert visitor.page.headers["content-disposition"] == 'attachment; filename="evidence-2026Q1.zip"'
    archive = tmp_path / "taken.zip"
    archive.write_bytes(visitor.page.content)
    checked = check_archive(archive)
    assert checked.problems == ()
    assert checked.manifest_sha256 in visitor.go(page).text
    (entry,) = place.good("GET", "/v1/audit/search", params={"action": "evidence.exported"}, role="admin")
    assert entry["details"]["manifest_sha256"] == checked.manifest_sha256
    assert "2026Q1 ready to download" in visitor.go(PAGE).text
    visitor.submit("/evidence", quarter="2097Q1")
    assert visitor.page.status_code == 409
    assert "2097Q1 has not begun" in visitor.text
    assert Visitor(place).sign_in("admin", THEIRS).go(page).page.status_code == 404
    assert Visitor(place).sign_in("approver").go(page).page.status_code == 403


def test_evidence_under_way_says_how_far_it_is_and_what_is_gone_is_not_offered(place: Place) -> None:
    number = request_evidence(Context(place.engine, place.actor("admin")), read_quarter("2026Q1"))[0].id
    page = f"{PAGE}/evidence/{number}"

    def become(**values: Any) -> Visitor:
        with Session(place.engine) as session, session.begin():
            for name, value in values.items():
                setattr(session.get_one(EvidenceJob, number), name, value)
        return Visitor(place).sign_in("admin").go(page)

    part = "entries of the audit log that are proved"
    assert f"2,000 of 9,000 {part}" in become(state="running", done=2_000, total=9_000, part=part).text
    assert "40 batches" in become(done=40, total=0, part="batches").text
    assert "it broke off: &lt;i&gt;" in become(state="failed", error="it broke off: <i>").page.text
    visitor = become(state="done", error=None, finished_us=1, findings=2, size_bytes=10, manifest_sha256="a" * 64)
    assert "the audit log is not whole. Findings in the archive: 2." in visitor.text
    assert "It was stored for 7 days and then deleted." in visitor.text
    assert "Request it again" in visitor.text
    assert not [form for form in visitor.forms() if form.action.endswith("/take")]


PEER = b'{"name": "<b>North</b> Bank", "gini": {"estimate": 0.5, "low": 0.4, "high": 0.6}, "captured": 0.6}'


def attached(visitor: Visitor, content: bytes, name: str = "north.json") -> Visitor:
    """Send the form that attaches the figures of a peer, as a browser does."""
    form = next(form for form in visitor.forms() if form.action.endswith("/attach-peer"))
    fields = {name: value for name, value in form.fields.items() if name != "figures"}
    visitor.send("POST", form.action, data=fields, files={"figures": (name, content)}, headers={"origin": ORIGIN})
    return visitor.go(visitor.page.headers["location"]) if visitor.page.status_code == 303 else visitor


def test_a_peer_stands_beside_what_was_found_with_who_and_its_hash(place: Place) -> None:
    measured(place, 1)
    visitor = Visitor(place).sign_in("approver").go(f"{PAGE}/2")
    assert "No peer was attached." in visitor.text
    attached(visitor, PEER)
    assert "The figures of the peer are now shown beside those of the validation." in visitor.text
    beside = visitor.page.text.partition("Beside the figures of &lt;b&gt;North&lt;/b&gt; Bank")[2].partition(
        "</section>"
    )[0]
    assert "0.710 (0.660 to 0.760)" in beside
    assert "0.500 (0.400 to 0.600)" in beside
    assert "no interval given" in beside, "of the captured"
    assert sha256(PEER).hexdigest() in visitor.text
    assert "attached by the approver" in visitor.text
    assert "These figures were already attached." in attached(visitor, PEER).text
    refused = {b"[]": "holds no figures", b"\xff": "is not text in UTF-8", b"{": "cannot be read as JSON"}
    for wrong, problem in refused.items():
        attached(visitor.go(f"{PAGE}/2"), wrong)
        assert (visitor.page.status_code, problem in visitor.text) == (422, True), problem
    assert visitor.go(f"{PAGE}/2").page.text.count("<b>North") == 0


def test_points_and_thresholds_that_were_proposed_lead_to_their_rulesets(place: Place) -> None:
    publisher = Visitor(place).sign_in("publisher").go(PAGE)
    proposed = publisher.page.text.partition('id="proposed"')[2].partition("</section>")[0]
    assert "under way" in proposed
    assert "/console/rulesets/retail#reviews" in proposed
    place.good("POST", "/v1/rulesets/retail/points", {"as_of": "2026-01-01"}, role="publisher")
    assert "points for version" in publisher.go(PAGE).text
    assert "/console/rulesets/retail/points" in publisher.links()
    assert 'id="proposed"' in publisher.go(f"{PAGE}/1").page.text
    approver = Visitor(place).sign_in("approver").go(PAGE)
    assert 'id="proposed"' not in approver.page.text, "approvers do not see rulesets"
