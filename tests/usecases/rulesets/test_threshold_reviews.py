"""Thresholds each quarter: begun once, smoothed over a year, left as a draft beside nobody's, and never in force."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, StoreError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.governance.thresholds import propose
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.sql.database import writing
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.rulesets import Draft, Family, RulesetVersion, ThresholdReview
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.changes.asks import roll_back
from fivefold.usecases.evidence.rulesets import rulesets_part
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset, bundled_rulesets
from fivefold.usecases.rulesets import threshold_reviews
from fivefold.usecases.rulesets.activate import activate, what_stands_against
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.threshold_reviews import (
    REVIEW,
    ThresholdReviewLine,
    begin_threshold_reviews,
    list_threshold_reviews,
    rules_hash,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.inputs import quarter_of
from fivefold.usecases.shared.jobs import LEASE_US, run_next_job
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import DAY, NOW, agreed, closed, drafts, organisation, people, store_backtest

LEVELS = ("low", "medium", "high", "critical")
QUARTER = 92 * DAY
"""A little more than the longest quarter."""
TEXT = """\
ruleset: retail
entity_type: customer
fields: {income: number}
levels: [low, medium, high, critical]
score: {points: {thresholds: [10, 20, 30]}}
max_recompute_interval: 180 days
rationale: As our appetite statement has it.
rules:
  - id: income
    title: Income
    category: customer features
    rationale: How much comes in.
    input: {field: income}
    cases:
"""
TEXT += "".join(f"      - {{when: {{at_least: {at}}}, points: {at}}}\n" for at in range(40, 0, -1))
TEXT += "examples:\n" + "".join(
    f"  - {{name: n{at}, given: {{income: {at}}}, expect: {{cases: {{income: {41 - at}}}}}}}\n" for at in range(1, 41)
)


USUAL = ((0.0, 130), (15.0, 174), (25.0, 194), (35.0, 200))
"""Incomes of 200 customers, each up to a number, so that every level holds its usual share."""


@filled_once
def with_customers(engine: Engine) -> Actor:
    """A person with 200 customers, whose totals are spread evenly from 0 to 39."""
    actor = people(organisation(engine))[0]
    choose_levels(Context(engine, actor), LEVELS)
    define_type(Context(engine, actor).at(NOW - 3 * QUARTER), "customer", {"income": "number"})
    incomes(engine, actor, range(200))
    decides(engine, actor, TEXT, NOW - 2 * QUARTER)
    return actor


@pytest.fixture
def ana(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """Half of her customers would have to be low."""
    monkeypatch.setattr(propose, "LEAST_ENTITIES", 100)
    return with_customers(engine)


def incomes(engine: Engine, actor: Actor, numbers: range, factor: int = 1) -> None:
    rows = [EntityRow(f"c{number}", {"income": float(number % 40 * factor)}) for number in numbers]
    put_entities(Context(engine, actor).at(NOW - 3 * QUARTER + factor), "customer", rows)


def decides(engine: Engine, actor: Actor, text: str, at_us: int) -> None:
    """Commit a ruleset at a moment, and let it decide."""
    context = Context(engine, actor).at(at_us)
    saved = save_draft(context, text, revision(engine))
    commit(context, "retail", saved.revision, "as it is")
    with Session(engine) as session, session.begin():
        newest = session.scalars(select(RulesetVersion.id).order_by(RulesetVersion.id.desc())).first()
        session.execute(update(Family).values(active_version_id=newest))


def revision(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(Draft.revision)) or 0


def review(engine: Engine, actor: Actor, now_us: int = NOW) -> ThresholdReviewLine:
    begin_threshold_reviews(engine, now_us)
    assert run_next_job(engine, REVIEW, now_us)
    return list_threshold_reviews(Context(engine, actor), "retail")[0]


def raising(error: BaseException) -> Callable[..., None]:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    return fails


def thresholds(text: str) -> list[int]:
    score: Any = read_ruleset(text).score
    return [int(value) for value in score.points.thresholds]


def test_a_quarter_is_reviewed_once_and_leaves_a_draft_that_nothing_puts_in_force(engine: Engine, ana: Actor) -> None:
    found = review(engine, ana)
    assert (found.quarter, found.state, found.outcome, found.requested_by) == ("2026Q3", "done", "draft", "system")
    (draft,) = drafts(engine)
    assert draft.editors == ["system"]
    assert found.draft_revision == draft.revision
    assert thresholds(draft.document) == [int(cut["proposed"]) for cut in found.cuts] != [10, 20, 30]
    assert [round(level["proposed"], 2) for level in found.levels] == [0.65, 0.23, 0.1, 0.03]
    assert draft.document.startswith("# A DRAFT with proposed thresholds")
    assert found.moved
    with Session(engine) as session:
        (family,) = session.scalars(select(Family))
        assert session.get_one(RulesetVersion, family.active_version_id).number == 1
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "thresholds.reviewed")).all()
        assert [(entry.actor, json.loads(entry.details)) for entry in entries] == [
            ("system", {"quarter": "2026Q3", "outcome": "draft"})
        ]
    assert not begin_threshold_reviews(engine, NOW + DAY)
    assert not run_next_job(engine, REVIEW, NOW + DAY)
    assert len(drafts(engine)) == 1


def test_the_figures_are_in_the_evidence_of_the_quarter_in_which_the_review_ended(engine: Engine, ana: Actor) -> None:
    found = review(engine, ana)

    def archived(now_us: int) -> Any:
        with Session(engine) as session:
            part = rulesets_part(session, ana.organisation_id, quarter_of(now_us))
        (file,) = (file for file in part.files if file.name == "rulesets/threshold-reviews.json")
        return json.loads(b"".join(file.content()))

    (line,) = archived(NOW)
    assert (line["ruleset"], line["version"], line["reviewed_quarter"]) == ("retail", 1, "2026Q3")
    assert (line["report"]["levels"], line["report"]["cuts"]) == (found.levels, found.cuts)
    assert archived(NOW - QUARTER) == []


def test_a_draft_that_somebody_edits_stays_as_it_is(engine: Engine, ana: Actor) -> None:
    mine = TEXT.replace("[10, 20, 30]", "[11, 21, 31]")
    save_draft(Context(engine, ana).at(NOW), mine)
    found = review(engine, ana)
    assert (found.outcome, found.draft_revision) == ("beside a draft", None)
    assert [draft.document for draft in drafts(engine)] == [mine]
    assert found.cuts


def test_a_draft_of_an_earlier_quarter_that_no_person_edited_is_replaced(engine: Engine, ana: Actor) -> None:
    """The team let the thresholds be in one quarter; that is no reason to leave it without a draft from then on."""
    first = review(engine, ana)
    (before,) = drafts(engine)
    rows = [EntityRow(f"c{number}", {"income": float(number % 40 // 2)}) for number in range(200)]
    put_entities(Context(engine, ana).at(NOW), "customer", rows)
    second = review(engine, ana, NOW + QUARTER)
    (draft,) = drafts(engine)
    assert (second.quarter, second.outcome, second.draft_revision) == ("2026Q4", "draft", draft.revision)
    assert draft.revision > before.revision == first.draft_revision
    assert draft.editors == ["system"]
    assert thresholds(draft.document) == [int(cut["proposed"]) for cut in second.cuts] != thresholds(before.document)
    save_draft(Context(engine, ana).at(NOW + QUARTER), draft.document, draft.revision)
    third = review(engine, ana, NOW + 2 * QUARTER)
    assert (third.outcome, third.draft_revision) == ("beside a draft", None)


def test_while_every_level_holds_its_usual_share_nothing_is_left(engine: Engine, ana: Actor) -> None:
    decides(engine, ana, TEXT.replace("[10, 20, 30]", "[26, 35, 39]"), NOW - 2 * QUARTER + DAY)
    found = review(engine, ana)
    assert (found.outcome, found.draft_revision, found.state) == ("kept", None, "done")
    assert drafts(engine) == []


def test_thresholds_that_nothing_could_bring_nearer_leave_no_draft_that_changes_nothing(
    engine: Engine, ana: Actor
) -> None:
    """Four totals for four levels: each holds a quarter of the customers, wherever the thresholds are."""
    rows = [EntityRow(f"c{number}", {"income": float(number % 4 * 10)}) for number in range(200)]
    put_entities(Context(engine, ana).at(NOW - 2 * QUARTER), "customer", rows)
    found = review(engine, ana)
    assert [(cut["present"], cut["proposed"]) for cut in found.cuts] == [("10", "10"), ("20", "20"), ("30", "30")]
    assert (found.outcome, found.draft_revision, found.moved) == ("same", None, 0)
    assert drafts(engine) == []


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_draft_of_an_earlier_quarter_goes_once_thresholds_are_to_stay_unless_a_person_edited_it(
    engine: Engine, ana: Actor, *, is_edited: bool
) -> None:
    review(engine, ana)
    (draft,) = drafts(engine)
    if is_edited:
        save_draft(Context(engine, ana).at(NOW), draft.document, draft.revision)
    rows = [EntityRow(f"c{at}", {"income": next(i for i, most in USUAL if at < most)}) for at in range(200)]
    put_entities(Context(engine, ana).at(NOW), "customer", rows)
    assert review(engine, ana, NOW + QUARTER).outcome == "kept"
    assert [each.editors for each in drafts(engine)] == ([["system", ana.name]] if is_edited else [])


def test_one_unusual_quarter_moves_thresholds_by_a_part_alone(engine: Engine, ana: Actor) -> None:
    """The first quarter asks for 26, 35, 39; in the second all incomes are halved, and it alone asks for less."""
    first = review(engine, ana)
    with Session(engine) as session, session.begin():
        session.delete(session.scalars(select(Draft)).one())
    rows = [EntityRow(f"c{number}", {"income": float(number % 40 // 2)}) for number in range(200)]
    put_entities(Context(engine, ana).at(NOW), "customer", rows)
    second = review(engine, ana, NOW + QUARTER)
    assert second.quarter == "2026Q4"
    for before, now in zip(first.cuts, second.cuts, strict=True):
        mean = (float(before["proposed"]) + float(now["alone"])) / 2
        assert float(now["alone"]) < float(now["proposed"]) < float(before["proposed"])
        assert abs(float(now["proposed"]) - mean) <= 0.5


@pytest.mark.parametrize(("quarters", "is_mean"), [(3, True), (4, False)])
def test_a_portfolio_of_more_than_a_year_ago_moves_no_thresholds(
    engine: Engine, ana: Actor, quarters: int, *, is_mean: bool
) -> None:
    """No worker was there, or the ruleset was off, and years later the mean was half of that portfolio's."""
    review(engine, ana)
    later = review(engine, ana, NOW + quarters * QUARTER)
    assert [cut["alone"] is not None for cut in later.cuts] == [is_mean] * 3


def test_other_points_begin_anew(engine: Engine, ana: Actor) -> None:
    """Thresholds of earlier quarters are of other totals then."""
    review(engine, ana)
    with Session(engine) as session, session.begin():
        session.delete(session.scalars(select(Draft)).one())
    decides(engine, ana, TEXT.replace("points: 40}", "points: 41}"), NOW)
    assert [cut["alone"] for cut in review(engine, ana, NOW + QUARTER).cuts] == [None, None, None]


def test_another_calculation_makes_other_totals() -> None:
    calculated = TEXT.replace("{field: income}", "{calculation: sized}")
    hashes = set()
    for factor in (1, 2):
        named = f"calculate: {{sized: {{unit: count, multiply: [{{field: income}}, {factor}]}}}}"
        hashes.add(rules_hash(analyse_text(calculated.replace("rules:", f"{named}\nrules:", 1)).ruleset.canonical))
    assert len(hashes) == 2


@pytest.mark.parametrize("name", bundled_rulesets())
def test_every_ruleset_that_ships_is_reviewed_also_where_its_bounds_have_decimals(name: str) -> None:
    """A worker ended by one that has: its rules were to be hashed in a form that knows whole numbers alone."""
    assert len(rules_hash(bundled_ruleset(name).canonical)) == 64


def test_what_began_to_decide_after_the_quarter_is_left_for_the_next(engine: Engine, ana: Actor) -> None:
    decides(engine, ana, TEXT.replace("[10, 20, 30]", "[26, 35, 39]"), NOW - DAY)
    assert not begin_threshold_reviews(engine, NOW)
    assert begin_threshold_reviews(engine, NOW + QUARTER)


def test_too_few_customers_are_named_and_nothing_is_left(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose, "LEAST_ENTITIES", 201)
    found = review(engine, ana)
    assert (found.state, found.outcome, found.error, found.cuts) == ("done", "not proposed", None, [])
    assert "200 entities were assessed in full; at least 201 are needed" in str(found.because)
    assert drafts(engine) == []
    with Session(engine) as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "thresholds.reviewed"))
    assert json.loads(entry.details) == {"quarter": "2026Q3", "outcome": "not proposed", "because": found.because}


def test_a_ruleset_of_other_than_four_levels_has_no_usual_shares_and_that_is_no_failure(engine: Engine) -> None:
    actor = people(organisation(engine))[0]
    choose_levels(Context(engine, actor), LEVELS[:3])
    define_type(Context(engine, actor).at(NOW - 3 * QUARTER), "customer", {"income": "number"})
    incomes(engine, actor, range(20))
    three = TEXT.replace(", critical]", "]").replace("[10, 20, 30]", "[10, 20]")
    decides(engine, actor, three, NOW - 2 * QUARTER)
    found = review(engine, actor)
    assert (found.state, found.outcome, found.draft_revision, found.error) == ("done", "not proposed", None, None)
    assert "retail has 3 levels, and usual shares are known of 4" in str(found.because)
    again = review(engine, actor, NOW + QUARTER)
    assert (again.state, again.outcome) == ("done", "not proposed"), "no thresholds are smoothed with nothing"


def test_what_the_thresholds_do_to_those_confirmed_in_the_quarter_is_shown(engine: Engine, ana: Actor) -> None:
    """Incomes are 0 to 39: those of 25 to 29 are high by the present thresholds, and medium at most by the draft's."""
    inside = NOW - 60 * DAY
    closed(engine, ana, [f"c{number}" for number in range(20, 40)], inside)
    found = review(engine, ana)
    capture = found.capture
    assert capture is not None
    assert tuple(capture["present"]["top"]) == ("high", "critical")
    assert capture["present"]["captured"]["estimate"] == 1.0
    assert capture["proposed"]["captured"]["estimate"] < 1.0
    assert capture["proposed"]["top_share"] < capture["present"]["top_share"]
    assert not [each for each in found.cautions if "is not measured" in each]


@pytest.mark.parametrize("purpose", ["commercial", "both"])
def test_who_was_confirmed_is_not_told_where_thresholds_are_for_commerce(
    engine: Engine, ana: Actor, purpose: str
) -> None:
    closed(engine, ana, [f"c{number}" for number in range(20, 40)], NOW - 60 * DAY)
    define_type(Context(engine, ana).at(NOW - QUARTER), "customer", {}, purposes={"fields": {"income": "both"}})
    declared = f"purpose: {purpose}\npurposes: {{fields: {{income: both}}}}\n"
    decides(engine, ana, TEXT.replace("levels:", f"{declared}levels:"), NOW - 2 * QUARTER + DAY)
    found = review(engine, ana)
    assert (found.outcome, found.capture) == ("draft", None)
    assert any("is not measured: the ruleset is for" in each and "for aml alone" in each for each in found.cautions)
    (draft,) = drafts(engine)
    assert "confirmed later" not in draft.document


@pytest.mark.postgresql
def test_what_became_known_after_the_quarter_moves_nothing_in_it(engine: Engine, ana: Actor) -> None:
    """The worker was off for a while: by then the poorest were rich, and others had become customers."""
    closed(engine, ana, [f"c{number}" for number in range(20, 40)], NOW - 60 * DAY)
    ends = quarter_of(NOW).from_us
    incomes_of = {number: 39.0 if number % 40 < 20 else float(number % 40) for number in range(200)} | {200: 39.0}
    rows = [EntityRow(f"c{number}", {"income": income}) for number, income in incomes_of.items()]
    put_entities(Context(engine, ana).at(ends + 1), "customer", rows)
    found = review(engine, ana)
    assert [level["present"] for level in found.levels] == [0.25] * 4, "incomes of 0 to 39, five of each"
    with Session(engine) as session:
        (row,) = session.scalars(select(ThresholdReview))
    assert json.loads(row.report or "")["entities"] == 200
    assert found.capture is not None
    assert found.capture["present"]["top_share"] == 0.5
    assert "Left out: 1 customer taken in after 2026-10-01." in found.cautions
    (draft,) = drafts(engine)
    assert "Left out: 1 customer taken in after 2026-10-01." in draft.document


def test_where_nobody_was_confirmed_in_the_quarter_it_says_so(engine: Engine, ana: Actor) -> None:
    begins = quarter_of(NOW - QUARTER).from_us
    closed(engine, ana, [f"c{number}" for number in range(20, 25)], begins - DAY)  # before it
    closed(engine, ana, [f"c{number}" for number in range(25, 30)], NOW - DAY)  # after it
    found = review(engine, ana)
    assert (found.outcome, found.capture) == ("draft", None)
    assert any("is not measured: no case was confirmed in 2026Q3" in each for each in found.cautions)


def test_a_list_that_began_in_the_quarter_leaves_its_beginning_unmeasured_and_is_no_failure(
    engine: Engine, ana: Actor
) -> None:
    """In an organisation's first quarter every list is such a one."""
    closed(engine, ana, [f"c{number}" for number in range(20, 40)], NOW - 60 * DAY)
    context = Context(engine, ana).at(NOW - QUARTER)
    define_type(context, "customer", {"income": "number", "country": "country"})
    put_list_version(context, "watched", NOW - QUARTER - DAY, ["IR"], "Watched", "our own")
    rule = "  - {id: home, title: Home, category: geography, rationale: Where they live., input: {field: country},"
    rule += " cases: [{when: {in_list: watched}, points: 1}]}\n"
    example = "  - {name: home, given: {income: 0, country: IR}, expect: {cases: {home: 1}}}\n"
    text = TEXT.replace("{income: number}", "{income: number, country: country}")
    decides(engine, ana, text.replace("examples:\n", f"{rule}examples:\n") + example, NOW - QUARTER)
    found = review(engine, ana)
    assert (found.error, found.outcome, found.capture) == (None, "draft", None)
    assert any("as of the beginning of 2026Q3: list watched has no version before" in each for each in found.cautions)


def test_rules_that_read_cases_are_not_judged_by_cases(engine: Engine, ana: Actor) -> None:
    closed(engine, ana, [f"c{number}" for number in range(20, 40)], NOW - 60 * DAY)
    rule = "  - {id: past, title: Past, category: other, rationale: It was confirmed before.,"
    rule += " input: {count: cases, over: 3000 days}, cases: [{when: {at_least: 1}, points: 1}]}\n"
    example = "  - {name: past, given: {cases: [{opened: 2024-06-01, closed: 2024-07-01, outcome: confirmed}]},"
    example += " as_of: 2025-01-01, expect: {cases: {past: 1}}}\n"
    decides(engine, ana, TEXT.replace("examples:\n", f"{rule}examples:\n") + example, NOW - 2 * QUARTER + DAY)
    found = review(engine, ana)
    assert (found.outcome, found.capture) == ("draft", None)
    assert any("its rules read cases or alerts" in each for each in found.cautions)


def test_one_that_is_gone_once_the_database_answers_holds_up_no_other(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_threshold_reviews(engine, NOW)
    with monkeypatch.context() as patched:
        patched.setattr(threshold_reviews, "save_draft_in", raising(StoreError("the database cannot be reached")))
        with pytest.raises(StoreError):
            run_next_job(engine, REVIEW, NOW)
    with writing(engine) as session:
        session.execute(delete(ThresholdReview))  # as a repair of dates does
    assert not run_next_job(engine, REVIEW, NOW)
    begin_threshold_reviews(engine, NOW)
    assert run_next_job(engine, REVIEW, NOW)


def test_a_worker_that_dies_before_it_keeps_one_leaves_it_to_the_next(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_threshold_reviews(engine, NOW)
    with monkeypatch.context() as patched:
        patched.setattr(threshold_reviews, "save_draft_in", raising(SystemExit()))
        with pytest.raises(SystemExit):
            run_next_job(engine, REVIEW, NOW)
    assert drafts(engine) == []
    assert not run_next_job(engine, REVIEW, NOW + 1)
    assert run_next_job(engine, REVIEW, NOW + 10 * 60 * 1_000_000)
    assert list_threshold_reviews(Context(engine, ana), "retail")[0].outcome == "draft"
    assert len(drafts(engine)) == 1


@pytest.mark.parametrize("change", ["committed", "decides", "off"])
def test_a_ruleset_that_changed_meanwhile_gets_no_draft(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A draft made from the version before would take the newer one back."""
    real = threshold_reviews.propose_for_totals

    def meanwhile(*given: Any, **options: Any) -> Any:
        if change == "off":
            with Session(engine) as session, session.begin():
                session.execute(update(Family).values(enabled=False))
        else:
            with Session(engine) as session:
                before = session.scalars(select(Family.active_version_id)).one()
            decides(engine, ana, TEXT.replace("[10, 20, 30]", "[9, 19, 29]"), NOW)
            with Session(engine) as session, session.begin():
                if change == "committed":
                    session.execute(update(Family).values(active_version_id=before))
        return real(*given, **options)

    monkeypatch.setattr(threshold_reviews, "propose_for_totals", meanwhile)
    found = review(engine, ana)
    assert (found.state, found.outcome, found.draft_revision) == ("done", "changed since", None)
    assert drafts(engine) == []


def test_reports_say_nothing_of_single_customers(engine: Engine, ana: Actor) -> None:
    found = review(engine, ana)
    with Session(engine) as session:
        names = set(session.scalars(select(Entity.external_id)))
    assert not names & set(json.dumps(vars(found)).split('"'))


def test_a_draft_of_the_platform_that_one_person_committed_is_activated_by_another(engine: Engine, ana: Actor) -> None:
    """The platform is nobody: who committed its draft, or edited it, is still refused."""
    revision_left = review(engine, ana).draft_revision
    assert revision_left is not None
    commit(Context(engine, ana).at(NOW), "retail", revision_left, "as it was proposed")
    store_backtest(engine, ana.organisation_id, "retail", 2, NOW)
    ben = people(ana.organisation_id)[1]
    with pytest.raises(ConflictError, match="edited or committed version 2 of retail"):
        activate(Context(engine, ana).at(NOW), "retail", 2, "as it was proposed")
    assert not [why for why in what_stands_against(Context(engine, ben).at(NOW), "retail", 2) if "person" in why]
    activate(Context(engine, ben).at(NOW), "retail", 2, "as it was proposed")
    with Session(engine) as session:
        version = session.scalars(select(RulesetVersion).where(RulesetVersion.number == 2)).one()
        assert session.scalars(select(Family.active_version_id)).one() == version.id
        assert version.editors == ["system"]


def test_after_a_rollback_the_version_that_decides_is_reviewed_like_any_other(engine: Engine, ana: Actor) -> None:
    """The newer version is withdrawn, and did not change while the worker looked."""
    _, ben, cyd = people(ana.organisation_id)
    revision_left = review(engine, ana).draft_revision
    assert revision_left is not None
    commit(Context(engine, ana).at(NOW), "retail", revision_left, "as it was proposed")
    with Session(engine) as session, session.begin():
        session.execute(update(Family).values(active_version_id=None))
    for number in (1, 2):
        store_backtest(engine, ana.organisation_id, "retail", number, NOW)
        activate(Context(engine, ben).at(NOW), "retail", number, "as it was proposed")
    agreed(engine, cyd, roll_back(Context(engine, ben).at(NOW + DAY), "retail", 1, "too many are low"), NOW + DAY)
    found = review(engine, ana, NOW + QUARTER)
    (draft,) = drafts(engine)
    assert (found.quarter, found.outcome, found.draft_revision) == ("2026Q4", "draft", draft.revision)
    assert [cut["present"] for cut in found.cuts] == ["10", "20", "30"]


@pytest.mark.postgresql
def test_one_that_failed_is_begun_again_a_day_later(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can ask for one, so a fault of an hour would leave the quarter without one."""
    with monkeypatch.context() as patched:
        patched.setattr(threshold_reviews, "assessed_parts", raising(ConfigError("the model cannot be read")))
        failed = review(engine, ana)
        assert (failed.state, failed.error) == ("failed", "the model cannot be read")
        assert not begin_threshold_reviews(engine, NOW + DAY // 2)
        assert not begin_threshold_reviews(engine, NOW - 1), "clocks differ by seconds"
        again = review(engine, ana, NOW + 2 * DAY)
        assert (again.state, again.id) == ("failed", failed.id)
    done = review(engine, ana, NOW + 4 * DAY)
    assert (done.state, done.outcome, done.attempts, done.error) == ("done", "draft", 1, None)
    assert not begin_threshold_reviews(engine, NOW + 6 * DAY)


def test_one_that_ended_its_workers_does_not_ask_people_to_request_it(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_threshold_reviews(engine, NOW)
    monkeypatch.setattr(threshold_reviews, "assessed_parts", raising(SystemExit()))
    for attempt in range(REVIEW.most_attempts):
        with pytest.raises(SystemExit):
            run_next_job(engine, REVIEW, NOW + attempt * 2 * LEASE_US)
    found = review(engine, ana, NOW + DAY)
    assert found.state == "quarantined"
    assert str(found.error).endswith("; it is not begun again; the next quarter has a review of its own")
    assert not begin_threshold_reviews(engine, NOW + 6 * DAY)


def test_one_that_failed_under_a_clock_ahead_does_not_wait_for_its_day(
    engine: Engine, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(threshold_reviews, "assessed_parts", raising(ConfigError("the model cannot be read")))
        begin_threshold_reviews(engine, NOW)
        assert run_next_job(engine, REVIEW, NOW + 30 * DAY)
    assert review(engine, ana, NOW + 1).state == "done"
