"""A text before it is saved: what is wrong where, what it changes, and what it makes of one customer."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import InvalidRulesetError, NotFoundError
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.rulesets import Draft, Family
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.changes.backtests import BACKTESTS, request_backtest
from fivefold.usecases.ingest.entities import EntityRow, put_entities
from fivefold.usecases.rulesets.activate import activate, what_stands_against
from fivefold.usecases.rulesets.check import check_text, compare_draft
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.example_customer import try_text
from fivefold.usecases.rulesets.read import (
    list_rulesets,
    list_version_states,
    read_ruleset,
    read_version_state,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import NOW, document, founded, rows_of

People = tuple[Actor, Actor, Actor]


@pytest.fixture
@filled_once
def people(engine: Engine) -> People:
    """Ana edits, Ben commits, Cyd activates: version 1 decides."""
    ana, ben, cyd = founded(engine)
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    saved = save_draft(Context(engine, ana).at(NOW), document())
    commit(Context(engine, ben).at(NOW), "retail", saved.revision)
    request_backtest(Context(engine, ana).at(NOW), "retail", 1)
    assert run_next_job(engine, BACKTESTS, NOW)
    activate(Context(engine, cyd).at(NOW), "retail", 1, "our first")
    return ana, ben, cyd


@pytest.fixture
def ana(engine: Engine, people: People) -> Context:
    return Context(engine, people[0]).at(NOW)


def test_a_text_is_looked_through_and_nothing_of_it_is_stored(engine: Engine, ana: Context) -> None:
    before = [len(rows_of(engine, table)) for table in (AuditEntry, Draft, Family)]
    found = check_text(ana, document(medium=29))
    assert (found.family, found.findings, found.compared_with) == ("retail", (), 1)
    assert [str(change) for change in found.changes] == ["score, points, thresholds: 30, 60 → 29, 60"]
    assert [example.name for example in found.examples] == ["watched", "north"]
    assert (found.rules_percent, found.cases_percent) == ("100.0", "100.0")
    assert [len(rows_of(engine, table)) for table in (AuditEntry, Draft, Family)] == before


def test_it_says_what_a_text_is_for_and_what_each_rule_reads_by_which_path(engine: Engine, ana: Context) -> None:
    def reads(text: str) -> dict[str, tuple[str, bool, str]]:
        found = check_text(ana, text)
        return {each.source: (each.purpose, each.is_allowed, " → ".join(each.steps)) for each in found.readings}

    text = document()
    country = "ruleset retail → rule country → field country"
    assert check_text(ana, text).purpose == "aml"
    assert reads(text)["field country"] == ("aml", True, country)
    commercial = text.replace("entity_type:", "purpose: commercial\npurposes: {fields: {country: both}}\nentity_type:")
    assert check_text(ana, commercial).purpose == "commercial"
    assert reads(commercial)["field country"] == ("aml", False, country), "the type says nothing of it"
    define_type(ana, "customer", {}, purposes={"fields": {"country": "both"}})
    assert reads(commercial)["field country"] == ("both", True, country)
    assert reads(commercial)["list watched"] == ("aml", False, "ruleset retail → rule country → list watched")
    refused = [each.problem for each in check_text(ana, commercial).errors]
    assert any("list watched" in problem for problem in refused), "the same as what lint refuses"
    unreadable = check_text(ana, text.replace("score:", "scores:"))
    assert (unreadable.purpose, unreadable.readings) == (None, ())
    wrong = check_text(ana, text.replace("[low, medium, high]", "[low, mid, high]"))
    assert wrong.errors
    assert (wrong.purpose, bool(wrong.readings)) == ("aml", True), "a fault elsewhere hides nothing"


@pytest.mark.parametrize(
    ("was", "written", "place"),
    [
        ("score:", "scores:", (8, 1, "is not a word of the language here")),
        ("points: 30}", "points: many}", (20, 36, "many")),
        ("rationale: As our", "rationale: As: our", (12, 14, "colon")),
        ("entity_type: customer", "entity_type: company", (None, None, "the types of entities are customer")),
        ("entity_type: customer\n", "", (2, 1, "is missing")),
        ("[low, medium, high]", "[low, mid, high]", (7, 1, "those of the organisation are")),
        ("expect: {level: medium}", "expect: {level: low}", (30, 5, "level is medium, not low")),
    ],
)
def test_a_fault_has_its_line_and_column(
    ana: Context, was: str, written: str, place: tuple[int | None, int | None, str]
) -> None:
    text = document().replace(was, written, 1)
    found = check_text(ana, text)
    assert found.errors
    line, column, words = place
    finding = next(each for each in found.errors if words in f"{each.where}: {each.problem}")
    assert (finding.line, finding.column) == (line, column)
    assert found.examples == () or "example" in finding.where


def test_what_is_no_document_at_all_is_a_fault(ana: Context) -> None:
    for text in ("", "- a", "a: [", "\t"):
        assert check_text(ana, text).errors


def test_the_ruleset_of_another_type_is_a_fault(engine: Engine, people: People) -> None:
    from fivefold.usecases.accounts.entity_types import define_type

    context = Context(engine, people[0]).at(NOW)
    define_type(context, "company", {"country": "country", "income": "number"})
    found = check_text(context, document().replace("entity_type: customer", "entity_type: company"))
    assert "the ruleset retail is of the type customer, for good" in str(found.errors[0])


def test_a_draft_is_compared_with_what_decides(engine: Engine, people: People) -> None:
    context = Context(engine, people[0]).at(NOW)
    with pytest.raises(NotFoundError, match="no draft of retail"):
        compare_draft(context, "retail")
    save_draft(context, document(medium=20))
    assert [change.after for change in compare_draft(context, "retail").changes] == ["20, 60"]
    save_draft(context, document("other"))
    with pytest.raises(NotFoundError, match="nothing to compare its draft with"):
        compare_draft(context, "other")


def test_one_customer_by_a_text_beside_what_decides(engine: Engine, ana: Context) -> None:
    put_entities(ana, "customer", [EntityRow("c-1", {"country": "IR"})])
    same = try_text(ana, "retail", "c-1", document())
    assert (same.active_version, same.decided_before) == (1, None)
    assert same.active == same.tried
    assert [(factor.rule, factor.same) for factor in same.factors] == [("country", True)]
    other = try_text(ana, "retail", "c-1", document(medium=31).replace("points: 30}", "points: 25}"))
    assert other.active is not None
    assert (other.active.level, other.active.score) == ("medium", "30")
    assert (other.tried.level, other.tried.score) == ("low", "25")
    (factor,) = other.factors
    assert factor.active is not None
    assert factor.tried is not None
    assert (factor.same, factor.active.points, factor.tried.points) == (False, "+30", "+25")


def test_a_customer_is_tried_by_the_draft_that_is_saved_or_by_a_ruleset_that_is_new(
    engine: Engine, ana: Context
) -> None:
    put_entities(ana, "customer", [EntityRow("c-1", {"country": "KP"})])
    with pytest.raises(NotFoundError, match="no draft of retail"):
        try_text(ana, "retail", "c-1")
    save_draft(ana, document(medium=10))
    assert try_text(ana, "retail", "c-1").tried.level == "high"
    new = try_text(ana, "second", "c-1", document("second"))
    assert (new.active, new.active_version, new.decided_before) == (None, None, "retail")
    with pytest.raises(NotFoundError, match="nobody"):
        try_text(ana, "retail", "nobody")
    with pytest.raises(InvalidRulesetError, match="here it must be retail"):
        try_text(ana, "retail", "c-1", document("other"))
    with pytest.raises(InvalidRulesetError, match="scores"):
        try_text(ana, "retail", "c-1", document().replace("score:", "scores:"))


def test_the_overview_says_what_decides_and_who_did_what(engine: Engine, people: People) -> None:
    ana, ben, _ = (Context(engine, each).at(NOW) for each in people)
    save_draft(ben, document(medium=20))
    save_draft(ana, document("other"))
    retail, other = list_rulesets(ana)
    assert read_ruleset(ana, "retail") == retail
    assert read_ruleset(ana, "other") == other
    assert retail.active is not None
    assert retail.active.activated is not None
    assert (retail.active.number, retail.active.committed_by) == (1, people[1].name)
    assert (retail.active.activated.actor, retail.active.activated.reason) == (people[2].name, "our first")
    assert (retail.draft_revision, retail.draft_editors, retail.newest) == (2, (people[1].name,), 1)
    assert (other.active, other.newest, other.draft_revision) == (None, None, 1)
    (state,) = list_version_states(ana, "retail")
    assert read_version_state(ana, "retail", 1) == state
    assert state.active
    assert state.backtest is not None
    assert state.backtest.state == "done"
    strange = Context(engine, founded(engine, "other bank")[0])
    assert list_rulesets(strange) == []
    for ask in (read_ruleset, list_version_states):
        with pytest.raises(NotFoundError, match="no ruleset 'retail'"):
            ask(strange, "retail")


def test_what_stands_against_an_activation_is_said_before_it_is_tried(engine: Engine, people: People) -> None:
    ana, ben, cyd = (Context(engine, each).at(NOW) for each in people)
    save_draft(ana, document(medium=20))
    commit(ben, "retail", 2)
    author = what_stands_against(ana, "retail", 2)
    assert len(author) == 2
    assert "another person activates" in author[0]
    assert "has no backtest that is done" in author[1]
    request_backtest(ana, "retail", 2)
    assert run_next_job(engine, BACKTESTS, NOW)
    assert what_stands_against(cyd, "retail", 2) == ()
    assert len(what_stands_against(ben, "retail", 2)) == 1
