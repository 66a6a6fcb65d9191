"""Points on the platform: asked for, learnt from cases by a worker, left as a draft, and never in force."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.domain.paging import every_row
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.rulesets import Draft, Family, PointsJob, RulesetVersion
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, put_record
from fivefold.usecases.rulesets import points_jobs
from fivefold.usecases.rulesets.assessing import labels_from_cases
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import discard_draft, save_draft
from fivefold.usecases.rulesets.points_jobs import (
    POINTS,
    PointsJobLine,
    PointsWanted,
    list_points_jobs,
    request_points,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import LEASE_US, run_next_job
from tests.store.filling import filled_once
from tests.usecases.governed import DAY, NOW, closed, drafts, organisation, people

LEVELS = ("low", "medium", "high")
CUSTOMERS = 480
CONFIRMED = [
    number
    for number in range(CUSTOMERS)
    if (number % 4 == 0 and number % 5) or (number % 4 and number % 3 == 2 and number % 7 == 0)
]
"""Most of those of one country, and a few of the large ones."""
AS_OF = NOW - 100 * DAY
WANTED = PointsWanted(as_of_us=AS_OF)
TEXT = """\
ruleset: retail
entity_type: customer
fields: {country: country, size: number}
levels: [low, medium, high]
score: {points: {thresholds: [10, 20]}}
max_recompute_interval: 180 days
rationale: As our appetite statement has it.
rules:
  - id: country  # where they live
    title: Country
    category: geography
    rationale: Where they live.
    input: {field: country}
    cases:
      - {when: {in: [IR, KP]}, points: 5}
  - id: size
    title: Size
    category: customer features
    rationale: How large they are.
    input: {field: size}
    cases:
      - {when: {at_least: 2}, points: 25}
      - {when: {at_least: 1}, points: 12}
examples:
  - {name: there, given: {country: IR, size: 0}, expect: {cases: {country: 1}}}
  - {name: large, given: {country: NO, size: 2}, expect: {cases: {size: 1}}}
  - {name: middling, given: {country: NO, size: 1}, expect: {cases: {size: 2}}}
"""


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    """She has 480 customers, of whom most of one country are confirmed later; the ruleset looks at their size."""
    actor = people(organisation(engine))[0]
    choose_levels(Context(engine, actor), LEVELS)
    before = Context(engine, actor).at(NOW - 300 * DAY)
    define_type(before, "customer", {"country": "country", "size": "number"})
    rows = [
        EntityRow(f"c{number}", {"country": "IR" if number % 4 == 0 else "NO", "size": float(number % 3)})
        for number in range(CUSTOMERS)
    ]
    put_entities(before, "customer", rows)
    closed(engine, actor, [f"c{number}" for number in CONFIRMED], NOW - 50 * DAY)
    committed(engine, actor, TEXT, NOW - 200 * DAY)
    return actor


def committed(engine: Engine, actor: Actor, text: str, at_us: int) -> None:
    context = Context(engine, actor).at(at_us)
    with Session(engine) as session:
        revision = session.scalar(select(Draft.revision)) or 0
    saved = save_draft(context, text, revision)
    commit(context, "retail", saved.revision, "as it is")


def ask(engine: Engine, actor: Actor, wanted: PointsWanted = WANTED) -> tuple[PointsJobLine, bool]:
    return request_points(Context(engine, actor).at(NOW), "retail", wanted)


def learnt(engine: Engine, actor: Actor, wanted: PointsWanted = WANTED) -> PointsJobLine:
    """Ask for points, and let a worker learn them."""
    ask(engine, actor, wanted)
    assert run_next_job(engine, POINTS, NOW)
    return newest(engine, actor)


def newest(engine: Engine, actor: Actor) -> PointsJobLine:
    return list_points_jobs(Context(engine, actor), "retail")[0]


def points(text: str) -> list[list[int]]:
    return [[int(case.points or 0) for case in rule.cases] for rule in read_ruleset(text).rules]


@pytest.mark.postgresql
def test_points_are_learnt_once_and_left_as_a_draft_that_nothing_puts_in_force(engine: Engine, ana: Actor) -> None:
    asked, is_new = ask(engine, ana)
    assert (asked.state, asked.version, asked.outcome, is_new) == ("queued", 1, None, True)
    assert ask(engine, ana) == (asked, False)
    assert run_next_job(engine, POINTS, NOW)
    assert not run_next_job(engine, POINTS, NOW)
    found = newest(engine, ana)
    assert (found.error, found.state, found.outcome, found.requested_by) == (None, "done", "draft", ana.name)
    judges = len(CONFIRMED) // 2
    others = (CUSTOMERS - len(CONFIRMED)) // 2
    assert (found.learnt_from, found.learnt_confirmed) == (CUSTOMERS - judges - others, len(CONFIRMED) - judges)
    assert found.verdict is not None
    assert (found.verdict["judged"], found.verdict["confirmed"]) == (judges + others, judges)
    assert found.verdict["recommended"]
    total = found.verdict["total"]
    assert total["first"] - total["second"] == pytest.approx(total["difference"]["estimate"])
    assert total["difference"]["low"] > 0
    (draft,) = drafts(engine)
    assert (draft.editors, draft.revision) == ([ana.name], found.draft_revision)
    assert draft.document.startswith("# A DRAFT with proposed points")
    assert "# where they live" in draft.document, "the text stays as people wrote it"
    (country,), sizes = points(draft.document)
    assert country > max(sizes)
    changed = {(change["rule"], change["outcome"]): change for change in found.changes}
    assert changed["country", 1]["after"] == str(country)
    assert 0 < changed["country", 1]["confirmed"] < changed["country", 1]["entities"]
    for change in found.changes:
        assert f"{change['before']} -> {change['after']} points" in draft.document, "each is explained in the text"
    with Session(engine) as session:
        (family,) = session.scalars(select(Family))
        assert family.active_version_id is None
        actions = ("points.requested", "points.proposed", "ruleset.draft_saved")
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action.in_(actions)).order_by(AuditEntry.number))
        said = [(entry.action, entry.actor, json.loads(entry.details)) for entry in entries]
    assert [(action, actor) for action, actor, _ in said][1:] == [
        ("points.requested", ana.name),
        ("ruleset.draft_saved", ana.name),
        ("points.proposed", ana.name),
    ]
    assert said[-1][2] == {"outcome": "draft", "recommended": True}
    assert len(list(every_row(lambda part: list_points_jobs(Context(engine, ana), "retail", part), 1))) == 1


def test_the_draft_is_committed_like_any_other(engine: Engine, ana: Actor) -> None:
    found = learnt(engine, ana)
    assert found.draft_revision is not None
    commit(Context(engine, ana).at(NOW), "retail", found.draft_revision, "as it is")
    with Session(engine) as session:
        assert [row.number for row in session.scalars(select(RulesetVersion).order_by(RulesetVersion.id))] == [1, 2]


@pytest.mark.postgresql
def test_too_few_labels_are_named_and_nothing_is_left(engine: Engine, ana: Actor) -> None:
    """Before their cases ended nobody is confirmed."""
    found = learnt(engine, ana, PointsWanted(as_of_us=AS_OF, until_us=NOW - 60 * DAY))
    assert (found.state, found.outcome, found.verdict, found.changes) == ("failed", None, None, [])
    assert "to learn from there are 0 confirmed customers and 240 others" in str(found.error)
    assert "at least 20 of each are needed" in str(found.error)
    assert drafts(engine) == []


def test_what_was_written_down_once_a_case_was_confirmed_teaches_nothing(engine: Engine, ana: Actor) -> None:
    """The points of a field that is written after the fact would foresee what is known already."""
    before = learnt(engine, ana)
    discard_draft(Context(engine, ana).at(NOW), "retail", before.draft_revision or 0)
    rows = [EntityRow(f"c{number}", {"size": 2.0}) for number in CONFIRMED]
    put_entities(Context(engine, ana).at(NOW - 40 * DAY), "customer", [*rows, EntityRow("late", {"size": 2.0})])
    after = learnt(engine, ana)
    assert (after.verdict, after.changes) == (before.verdict, before.changes)


def test_before_anybody_was_taken_in_there_is_nobody_to_learn_from(engine: Engine, ana: Actor) -> None:
    found = learnt(engine, ana, PointsWanted(as_of_us=NOW - 301 * DAY))
    assert found.state == "failed"
    assert "retail reaches nobody who had been taken in by 2026-01-23T12:00:00Z" in str(found.error)


def test_learnt_as_of_an_earlier_day_and_judged_by_later_cases(engine: Engine, ana: Actor) -> None:
    """Half of the cases ended before the day of judging, half after it; three customers came between and later."""
    early = CONFIRMED[::2]
    for name, days in (("between", 150), ("late", 50), ("later", 40)):
        rows = [EntityRow(name, {"country": "NO", "size": 0.0})]
        put_entities(Context(engine, ana).at(NOW - days * DAY), "customer", rows)
    closed(engine, ana, [f"c{number}" for number in early], NOW - 150 * DAY)
    found = learnt(engine, ana, PointsWanted(as_of_us=AS_OF, learn_as_of_us=NOW - 200 * DAY))
    assert (found.state, found.error) == ("done", None)
    assert found.learnt_confirmed is not None
    assert 0 < found.learnt_confirmed <= len(early), "by the early cases alone"
    assert not any("Both halves are of one moment" in caution for caution in found.cautions)
    assert [caution for caution in found.cautions if "Left out" in caution] == [
        f"Left out: 2 customers taken in after {day_text(AS_OF)}.",
        f"Left out: 3 customers taken in after {day_text(NOW - 200 * DAY)}.",
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        PointsWanted(as_of_us=NOW + DAY),
        PointsWanted(as_of_us=NOW),
        PointsWanted(as_of_us=AS_OF, until_us=AS_OF),
        PointsWanted(as_of_us=AS_OF, until_us=NOW + DAY),
        PointsWanted(as_of_us=AS_OF, learn_as_of_us=AS_OF),
        PointsWanted(as_of_us=-(2**62)),
    ],
)
def test_moments_that_are_not_in_their_order_are_refused(engine: Engine, ana: Actor, wanted: PointsWanted) -> None:
    with pytest.raises(ConfigError):
        ask(engine, ana, wanted)
    assert list_points_jobs(Context(engine, ana), "retail") == []


@pytest.mark.postgresql
def test_what_cannot_be_learnt_is_refused_at_once(engine: Engine, ana: Actor) -> None:
    with pytest.raises(NotFoundError):
        request_points(Context(engine, ana).at(NOW), "nothing", WANTED)
    revision = save_draft(Context(engine, ana).at(NOW), TEXT.replace("[10, 20]", "[11, 21]")).revision
    with pytest.raises(ConflictError, match="commit or discard that one first"):
        ask(engine, ana)
    discard_draft(Context(engine, ana).at(NOW), "retail", revision)
    rule = "  - {id: past, title: Past, category: other, rationale: It was confirmed before.,"
    rule += " input: {count: cases, over: 3000 days}, cases: [{when: {at_least: 1}, points: 5}]}\n"
    example = "  - {name: past, given: {cases: [{opened: 2024-06-01, closed: 2024-07-01, outcome: confirmed}]},"
    example += " as_of: 2025-01-01, expect: {cases: {past: 1}}}\n"
    committed(engine, ana, TEXT.replace("examples:\n", f"{rule}examples:\n") + example, NOW)
    with pytest.raises(InvalidRulesetError, match="cases"):
        ask(engine, ana)
    save_draft(Context(engine, ana).at(NOW), TEXT.replace("ruleset: retail", "ruleset: other"))
    with pytest.raises(ConflictError, match="no version of other"):
        request_points(Context(engine, ana).at(NOW), "other", WANTED)


def test_points_for_commerce_are_not_learnt_from_cases(engine: Engine, ana: Actor) -> None:
    """It may not read a case, so what cases teach does not decide by it either."""
    both = {"fields": {"country": "both", "size": "both"}}
    define_type(Context(engine, ana).at(NOW - DAY), "customer", {}, purposes=both)
    said = "purpose: commercial\npurposes: {fields: {country: both, size: both}}\nlevels:"
    committed(engine, ana, TEXT.replace("levels:", said), NOW - DAY)
    with pytest.raises(InvalidRulesetError, match="is for commerce"):
        ask(engine, ana)
    assert list_points_jobs(Context(engine, ana), "retail") == []


@pytest.mark.postgresql
def test_a_draft_that_a_person_began_meanwhile_stays_as_it_is(engine: Engine, ana: Actor) -> None:
    ask(engine, ana)
    mine = TEXT.replace("[10, 20]", "[11, 21]")
    save_draft(Context(engine, ana).at(NOW), mine)
    assert run_next_job(engine, POINTS, NOW)
    found = newest(engine, ana)
    assert (found.state, found.outcome, found.draft_revision) == ("done", "beside a draft", None)
    assert [draft.document for draft in drafts(engine)] == [mine]
    assert found.changes


@pytest.mark.postgresql
def test_a_version_that_was_committed_meanwhile_is_not_taken_back(engine: Engine, ana: Actor) -> None:
    ask(engine, ana)
    committed(engine, ana, TEXT.replace("[10, 20]", "[11, 21]"), NOW)
    assert run_next_job(engine, POINTS, NOW)
    assert (newest(engine, ana).outcome, drafts(engine)) == ("changed since", [])


@pytest.mark.postgresql
def test_a_worker_that_dies_leaves_it_to_the_next_and_three_quarantine_it(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise SystemExit

    ask(engine, ana)
    now = NOW
    for attempt in range(1, 4):
        with monkeypatch.context() as patched:
            patched.setattr(points_jobs, "save_draft_in", dies)
            with pytest.raises(SystemExit):
                run_next_job(engine, POINTS, now)
        assert drafts(engine) == []
        assert (newest(engine, ana).state, newest(engine, ana).attempts) == ("running", attempt)
        assert not run_next_job(engine, POINTS, now + 1), "its lease still holds"
        now += 2 * LEASE_US
        if attempt == 1:
            with Session(engine) as session, session.begin():  # as many more workers later
                assert session.scalar(select(PointsJob.attempts)) == 1
    assert run_next_job(engine, POINTS, now)
    found = newest(engine, ana)
    assert (found.state, found.outcome) == ("quarantined", None)
    assert "its worker ended, stood still, or lost the database, at least 3 times" in str(found.error)
    assert ask(engine, ana)[1], "it is asked for again"
    assert run_next_job(engine, POINTS, now)
    assert newest(engine, ana).outcome == "draft"
    assert len(drafts(engine)) == 1


@pytest.mark.postgresql
def test_a_worker_that_is_asked_to_end_gives_it_back(engine: Engine, ana: Actor) -> None:
    ask(engine, ana)
    assert run_next_job(engine, POINTS, NOW, stopping=lambda: True)
    assert (newest(engine, ana).state, newest(engine, ana).attempts) == ("queued", 0)


def test_only_confirmed_cases_of_the_organisation_that_ended_are_labels(engine: Engine, ana: Actor) -> None:
    closed(engine, ana, ["c1"], NOW - 40 * DAY, "not confirmed")
    closed(engine, ana, ["c2"], NOW - 40 * DAY, kind="alert")
    put_record(
        Context(engine, ana).at(NOW), "customer", "c3", "case", RecordGiven(external_id="open", opened_us=NOW - DAY)
    )
    theirs = people(organisation(engine, "other"))[0]
    with Session(engine) as session:
        found = labels_from_cases(session, ana.organisation_id, NOW)
        assert len(found) == len(CONFIRMED)
        assert set(found["at"].cast(int)) == {NOW - 50 * DAY}
        assert not len(labels_from_cases(session, ana.organisation_id, NOW - 50 * DAY)), "known at its end, not before"
        assert not len(labels_from_cases(session, theirs.organisation_id, NOW))


def test_what_other_people_decided_on_before_the_ruleset_is_not_learnt_from(engine: Engine, ana: Actor) -> None:
    """Nobody whom the ruleset does not reach is learnt from: it applies to nobody."""
    committed(engine, ana, TEXT.replace("levels:", "applies_to: {field: country, equals: SE}\nlevels:", 1), NOW)
    found = learnt(engine, ana)
    assert found.state == "failed"
    assert "0 confirmed customers and 0 others" in str(found.error)


def test_where_no_outcome_would_give_other_points_no_draft_is_left(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = points_jobs.propose_points

    def same(judging: Any, *given: Any) -> Any:
        proposal, _ = real(judging, *given)
        return proposal, judging.program.ruleset

    monkeypatch.setattr(points_jobs, "propose_points", same)
    monkeypatch.setattr(points_jobs, "draft_text", lambda text, *_: text)
    found = learnt(engine, ana)
    assert (found.outcome, found.draft_revision, drafts(engine)) == ("same", None, [])
    with Session(engine) as session, session.begin():
        session.execute(update(PointsJob).values(report=None))
    assert newest(engine, ana).verdict is None
