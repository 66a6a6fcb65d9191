"""Groups on the platform: whom an entity is linked to counts, whoever is assessed with it and a fact is about."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import InvalidDataError, NotFoundError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.groups import links as engine_links
from fivefold.risk.facts.groups.links import Links
from fivefold.store.ingest.links import links_from
from fivefold.store.levels import markings
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.levels.assess import assess_entities
from fivefold.usecases.levels.groups import links as reading
from fivefold.usecases.levels.groups import reach
from fivefold.usecases.levels.portfolio import read_stored_portfolio
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.rulesets.activate import advance_markings
from tests.store import databases
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.levels.groups.linking import CASH, FRAUD, LINKS, OWNED, document, linked_bank, put


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return linked_bank(engine)


def test_a_payment_of_one_moves_the_level_of_all_of_the_household(bank: Bank) -> None:
    bank.activate(document(cash=CASH))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"), ("c", "household", "H2"))
    bank.pay(1, "a")
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in ("a", "b", "c", "d")] == ["0", "0", "0", "7"]
    bank.wait(1)
    bank.pay(2, "b")
    assert bank.settle() == 2
    assert [bank.level(name) for name in ("a", "b", "c")] == [2, 2, 1]
    assert f"through household H1: {bank.id_of('b')}" in bank.breakdown("a")


def test_days_of_those_linked_move_a_level_at_their_moment(bank: Bank) -> None:
    """The other one of the household falls silent in the evening; nobody waits for the midnight after."""
    silent = {
        "input": {"linked": {"by": "household", "max": {"days_since": "transactions"}}},
        "cases": [{"when": {"at_least": 10}, "points": 65}],
    }
    bank.activate(document(silent=silent))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    bank.wait(0.8)
    paid = bank.now
    for number, name in enumerate(("a", "b")):
        bank.pay(number, name)
    bank.settle()
    assert (bank.level("a"), bank.next_us("a")) == (1, paid + 10 * DAY_US)
    bank.now = paid + 10 * DAY_US
    bank.settle()
    assert (bank.level("a"), bank.assessments("a")[-1].source) == (3, "time")


def test_a_link_that_was_taken_back_tells_of_no_household(bank: Bank) -> None:
    bank.activate(document(fraud=FRAUD))
    put(bank, ("a", "household", "H1", bank.now))
    bank.wait(1)
    bank.settle()
    assert bank.assessments("a")[-1].score == "0"
    put(bank, ("a", "household", "H1", bank.now - DAY_US, bank.now - DAY_US))
    bank.settle()
    assert bank.assessments("a")[-1].score == "3"


def test_a_link_that_was_taken_back_hides_no_other_one_that_ended(bank: Bank) -> None:
    """A typing error that was mended, and a household of years ago: that one is known, and nobody is in it today."""
    bank.activate(document(fraud=FRAUD, cash=CASH))
    then = bank.now - 900 * DAY_US
    put(bank, ("a", "household", "H1", then, then), ("a", "household", "H2", then + DAY_US, then + 90 * DAY_US))
    put(bank, ("b", "household", "H2", then + DAY_US, then + 90 * DAY_US))
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in ("a", "b")] == ["0", "0"]
    assert as_files(bank, analyse_text(document(fraud=FRAUD, cash=CASH)), "ab") == {
        str(bank.id_of(name)): "0" for name in "ab"
    }


def test_time_alone_moves_the_level_of_those_who_are_linked(bank: Bank) -> None:
    bank.activate(document(cash=CASH))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    bank.pay(1, "b")
    bank.pay(2, "b")
    bank.settle()
    assert bank.level("a") == 2
    assert (bank.next_us("a") or 0) <= bank.now + 30 * DAY_US
    bank.wait(31)
    bank.settle()
    assert bank.assessments("a")[-1].score == "0"


def test_links_that_begin_and_end_later_are_looked_at_then(bank: Bank) -> None:
    bank.activate(document(fraud=FRAUD))
    set_tag(bank.context, "customer", "b", "fraud")
    put(bank, ("a", "household", "H1"), ("b", "household", "H1", bank.now + DAY_US, bank.now + 3 * DAY_US))
    bank.settle()
    assert (bank.level("a"), bank.next_us("a")) == (1, bank.now + DAY_US)
    bank.wait(1)
    bank.settle()
    assert (bank.level("a"), bank.next_us("a")) == (3, bank.now + 2 * DAY_US)
    bank.wait(2)
    bank.settle()
    assert bank.assessments("a")[-1].score == "0"


def test_what_is_stored_is_replayed_after_the_links_changed(bank: Bank) -> None:
    bank.activate(document(cash=CASH, owned=OWNED, fraud=FRAUD))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"), ("a", "owns", "c"), ("c", "owns", "d"))
    bank.pay(1, "b")
    set_tag(bank.context, "customer", "b", "fraud")
    bank.settle()
    name = f"{bank.id_of('a')}.{bank.assessments('a')[-1].number}"
    before = replay_assessment(bank.context, name)
    bank.wait(1)
    put(bank, ("b", "household", "H1", None, bank.now), ("c", "owns", "d", None, bank.now))
    bank.settle()
    after = replay_assessment(bank.context, name)
    assert (before.same, after.same) == (True, True)
    assert after.stored == before.stored
    assert len(bank.assessments("a")) == 2


def test_a_link_that_ends_lets_the_others_know(bank: Bank) -> None:
    bank.activate(document(fraud=FRAUD))
    set_tag(bank.context, "customer", "b", "fraud")
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    bank.settle()
    assert bank.level("a") == 3
    bank.wait(11)
    put(bank, ("b", "household", "H1", None, bank.now))
    bank.settle()
    assert (bank.level("a"), bank.assessments("a")[-1].score) == (1, "0")


def test_a_fact_about_a_person_moves_the_company_that_another_ruleset_decides_on(bank: Bank) -> None:
    """Companies and persons are of one type: a company owned through another one, and its owner, who is screened."""
    fields = {**platforms.FIELDS, "form": {"one_of": ["person", "company"]}}
    define_type(bank.context, "customer", fields, links={"owned_by": "directed"})
    exposed = {
        "input": {"linked": {"by": "owned_by", "way": "to", "steps": 3, "any": {"tag": "pep", "is": "present"}}},
        "cases": [{"when": {"equals": True}, "points": 65}],
        "on_unknown": {"points": 35},
    }
    of_form = {
        form: {"fields": fields, "applies_to": {"field": "form", "equals": form}} for form in ("person", "company")
    }
    links = {"owned_by": {"kind": "directed"}}
    bank.activate(banks.document({"exposed": exposed}, "companies", links=links, **of_form["company"]), 1)
    bank.activate(banks.document({"cash": banks.CASH}, "persons", **of_form["person"]), 2)
    for name, form in {"a": "company", "b": "company", "c": "person"}.items():
        bank.put(name, form=form)
    put(bank, ("a", "owned_by", "b"), ("b", "owned_by", "c"))
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in "abc"] == ["35", "35", "0"], "who owns c is not known"
    put(bank, ("c", "owned_by", None))
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in "ab"] == ["0", "0"]
    bank.wait(1)
    set_tag(bank.context, "customer", "c", "pep")
    bank.settle()
    assert [bank.level(name) for name in "abc"] == [3, 3, 1]
    assert str(bank.id_of("c")) in bank.breakdown("a")


def test_what_leads_over_several_steps_is_looked_at_again(bank: Bank) -> None:
    """A circle ends where it began; a link at its far end concerns who is at its beginning."""
    bank.activate(document(owned=OWNED))
    put(bank, ("a", "owns", "b"))
    bank.settle()
    assert bank.assessments("a")[-1].score == "0"
    bank.wait(1)
    put(bank, ("b", "owns", "c"), ("c", "owns", "a"))
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in ("a", "b", "c", "d")] == ["35", "35", "35", "0"]


def test_more_than_can_be_told_are_unknown_and_are_marked_once_they_are_fewer(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (engine_links, reading, reach):
        monkeypatch.setattr(module, "MOST_LINKED", 2)
    monkeypatch.setattr(reading, "MOST_READ", 5)
    bank.activate(document(fraud=FRAUD))
    put(bank, *((name, "household", "shop") for name in "abcd"))
    set_tag(bank.context, "customer", "d", "fraud")
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in "abcd"] == ["3"] * 4
    assert "more than" in bank.breakdown("a")
    bank.wait(1)
    set_tag(bank.context, "customer", "c", "other")
    assert bank.settle() == 1  # what is unknown stays so, whatever comes about one of them
    bank.wait(1)
    put(bank, ("c", "household", "shop", None, bank.now))
    assert bank.settle() == 4
    assert [bank.assessments(name)[-1].score for name in "abd"] == ["65", "65", "0"]


def test_too_many_to_follow_are_marked_with_everybody(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "MOST_MARKED", 0)
    monkeypatch.setattr(reach, "TIMES_AS_MANY", 0)
    bank.activate(document(owned=OWNED))
    put(bank, ("a", "owns", "b"))
    bank.settle()
    bank.wait(1)
    set_tag(bank.context, "customer", "b", "watch")
    assert bank.settle() == 1, "the others are marked by a worker"
    while advance_markings(bank.engine, bank.now):
        pass
    assert bank.settle() == 4


@pytest.mark.full
@pytest.mark.postgresql
def test_many_facts_about_a_hub_mark_everybody_as_often_as_there_is_time_for(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many facts come: one marking is worked off, one waits, and nobody's level is missed."""
    monkeypatch.setattr(reach, "MOST_MARKED", 0)
    monkeypatch.setattr(reach, "TIMES_AS_MANY", 0)
    monkeypatch.setattr(markings, "PART", 2)
    bank.activate(document(fraud=FRAUD))
    put(bank, *((name, "household", "hub") for name in "abcd"))
    while advance_markings(bank.engine, bank.now):
        pass
    bank.settle()
    open_at_once, marked = [], 0
    for number in range(30):
        bank.wait(microseconds=1)
        if number % 10 == 9:
            end_tag(bank.context, "customer", "d", "fraud")
        else:
            set_tag(bank.context, "customer", "d", "fraud" if number % 10 == 0 else f"other{number}")
        with Session(bank.engine) as session:
            open_at_once.append(len(markings.open_markings(session)))
        if number % 5 == 4:
            marked += advance_markings(bank.engine, bank.now)
            bank.settle()
    assert max(open_at_once) == 2
    assert marked == 2 * 6
    while advance_markings(bank.engine, bank.now):
        pass
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in "abcd"] == ["0", "0", "0", "0"]
    assert "65" in {each.score for each in bank.assessments("a")}


def test_those_to_whom_fewer_links_lead_count_for_any_where_more_lead_to_too_many(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (engine_links, reading, reach):
        monkeypatch.setattr(module, "MOST_LINKED", 2)
    monkeypatch.setattr(reading, "MOST_READ", 5)
    group = {"by": "owns", "way": "to", "steps": 2, "any": {"tag": "fraud", "is": "present"}}
    bank.activate(document(fraud={**FRAUD, "input": {"linked": group}}))
    put(bank, ("a", "owns", "b"), ("b", "owns", "c"), ("b", "owns", "d"))
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in "abcd"] == ["3", "0", "0", "0"]
    bank.wait(1)
    set_tag(bank.context, "customer", "b", "fraud")
    assert bank.settle() == 2
    assert bank.assessments("a")[-1].score == "65"
    assert replay_assessment(bank.context, f"{bank.id_of('a')}.2").same


def test_an_erasure_that_leaves_few_enough_lets_the_others_know(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for module in (engine_links, reading, reach):
        monkeypatch.setattr(module, "MOST_LINKED", 2)
    monkeypatch.setattr(reading, "MOST_READ", 5)
    bank.activate(document(fraud=FRAUD))
    put(bank, *((name, "household", "shop") for name in "abcd"))
    set_tag(bank.context, "customer", "a", "fraud")
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in "abcd"] == ["3"] * 4
    bank.wait(2000)
    bank.settle()
    bank.wait(1)
    erase_entity(bank.context, "customer", "d", tmp_path / "register")
    assert bank.settle() == 3
    assert [bank.assessments(name)[-1].score for name in "abc"] == ["0", "65", "65"]


def test_an_erased_entity_has_no_links_and_who_had_one_is_looked_at_again(bank: Bank, tmp_path: Any) -> None:
    bank.activate(document(fraud=FRAUD, owned=OWNED))
    set_tag(bank.context, "customer", "b", "fraud")
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"), ("a", "owns", "b"), ("c", "owns", "a"))
    bank.settle()
    assert [bank.level(name) for name in ("a", "c")] == [3, 2]
    bank.wait(2000)
    erase_entity(bank.context, "customer", "b", tmp_path / "register")
    bank.settle()
    assert [bank.assessments(name)[-1].score for name in ("a", "c")] == ["0", "3"]
    assert replay_assessment(bank.context, f"{bank.id_of('a')}.1").same


NAMES = "abcd"
EXAMPLES = count()
STEPS = st.one_of(
    st.tuples(
        st.just("link"),
        st.sampled_from(NAMES),
        st.sampled_from([("household", "H1"), ("household", "H2"), *(("owns", name) for name in NAMES)]),
        st.sampled_from([None, -2, 1]),
        st.sampled_from([None, None, 2, -1, -2]),
    ),
    st.tuples(st.sampled_from(["tag", "untag", "pay"]), st.sampled_from(NAMES)),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1, 20])),
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with databases.opened(databases.new_url("sqlite", tmp_path_factory.mktemp("groups"))) as engine:
        yield engine


def type_of(bank: Bank) -> int:
    with Session(bank.engine) as session:
        return session.scalars(select(EntityType.id).where(EntityType.organisation_id == bank.of)).one()


def take(bank: Bank, step: tuple[Any, ...]) -> None:
    """Let something happen; what cannot be is refused."""
    bank.wait(microseconds=1)
    if step[0] == "link":
        _, name, (kind, to), begins, ends = step
        moments = [None if days is None else bank.now + days * DAY_US for days in (begins, ends)]
        with suppress(InvalidDataError):
            put(bank, (name, kind, to, *moments))
    elif step[0] == "tag":
        set_tag(bank.context, "customer", step[1], "fraud")
    elif step[0] == "untag":
        with suppress(NotFoundError):
            end_tag(bank.context, "customer", step[1], "fraud")
    elif step[0] == "pay":
        bank.pay(next(EXAMPLES), step[1])
    else:
        bank.wait(step[1])


def as_files(bank: Bank, ruleset: AnalysedRuleset, of: str = NAMES) -> dict[str, str]:
    """Assess everybody at once, from tables of everything that is stored: the score of each."""
    ids = [bank.id_of(name) for name in of]
    with Session(bank.engine) as session:
        stored = read_stored_portfolio(session, bank.of, type_of(bank), ids, [ruleset], bank.now)
        names = {number: str(number) for number in ids}
        links = [
            (one.link, names[one.entity_id], one.thing or names.get(one.other_id or 0), one.from_us, one.until_us)
            for one in links_from(session, ids)
        ]
    columns = {"type": pl.String, "from": pl.String, "to": pl.String, "valid_from": pl.Int64, "valid_until": pl.Int64}
    frame = pl.DataFrame(links, schema=columns, orient="row")
    moments = (pl.col(name).cast(pl.Datetime("us")) for name in ("valid_from", "valid_until"))
    whole = replace(stored, links=Links(frame.with_columns(*moments)), everyone=None)
    found = assess(ruleset, whole, bank.now)
    scores = found.program.total.texts(found.outcomes["total"].to_list())
    return dict(zip(found.outcomes["entity_id"], scores, strict=True))


@given(st.lists(STEPS, min_size=1, max_size=7))
def test_levels_that_follow_marks_are_those_of_everything_at_once(
    database: Engine, steps: list[tuple[Any, ...]]
) -> None:
    """And whoever is assessed alone comes to the same, due moments included."""
    bank = Bank(database, f"bank {next(EXAMPLES)}")
    define_type(bank.context, "customer", {}, links={name: kind["kind"] for name, kind in LINKS.items()})
    text = document(cash=CASH, fraud=FRAUD, owned=OWNED)
    bank.activate(text)
    for name in NAMES:
        bank.put(name)
    bank.settle()
    for step in steps:
        take(bank, step)
        bank.settle()
        expected = as_files(bank, analyse_text(text))
        assert {str(bank.id_of(name)): bank.assessments(name)[-1].score for name in NAMES} == expected, step
    with Session(database) as session:
        reasons = {bank.id_of(name): 1 for name in NAMES}
        together = assess_entities(session, bank.of, type_of(bank), reasons, bank.now).records
        alone = [
            assess_entities(session, bank.of, type_of(bank), {number: 1}, bank.now).records[0] for number in reasons
        ]
    assert list(together) == sorted(alone, key=lambda each: each.entity_id)


def test_what_of_the_entity_itself_cannot_be_read_fails_it_and_lets_no_level_fall(bank: Bank) -> None:
    bank.activate(document(cash=CASH))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    bank.pay(1, "a")
    bank.pay(2, "b")
    bank.settle()
    assert (bank.level("a"), bank.level("b")) == (2, 2)
    bank.wait(days=20)
    bank.pay(3, "a", transaction_currency="XTS")
    bank.settle()
    standing = bank.standing("a")
    assert (standing.status, standing.level) == ("failed", 2)
    assert "XTS" in bank.breakdown("a")
    assert (bank.standing("b").status, bank.level("b")) == ("assessed", 1), "that fails nobody else"
