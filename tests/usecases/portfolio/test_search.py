"""Search: whoever has all the words is found, once and in one order, as plain Python finds them."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.store.portfolio import search as searching
from fivefold.store.portfolio.words import MOST_WORDS, beginnings_in, end_of, words_in, words_of_entity
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import MOST_WORD, Entity, EntityType, SearchWord
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.portfolio.search import Search, count_entities, search_entities
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.store.plans import plan_of, statements
from tests.usecases import platforms
from tests.usecases.banks import Bank

FIELDS = {"full_name": "text", "street": "text", "country": "country", "income": "number"}
LEVELS = (None, *platforms.LEVELS)
SYLLABLES = ("an", "na", "zo", "ä", "o")
Attributes = dict[str, Any]


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Forty people with short names that often begin alike, some with a level, a tag, an owner or an error."""
    made, chance = Bank(engine), random.Random(3)
    made.add_type("person", FIELDS, {})
    made.add_type("other", FIELDS, {})
    for number in range(40):
        attributes = {
            "full_name": f"{word(chance).title()} {word(chance).upper()}",
            "street": f"{word(chance)} {chance.randint(1, 3)}",
            "country": "NO",
        }
        made.put(f"p-{number}", kind="person", **attributes)
    made.put("p-1", kind="other", full_name="Zona")
    for number in range(0, 40, 7):
        set_tag(made.context, "person", f"p-{number}", "watch")
        set_tag(made.context, "person", f"p-{number}", "old", until_us=made.now + DAY_US // 2)
    for number in range(1, 40, 5):
        made.put(f"p-{number}", owner=("person", "p-0"), kind="person")
    with Session(engine) as session, session.begin():
        for entity in session.scalars(select(Entity).order_by(Entity.id)).all():
            if chance.random() < 0.7:
                of = {"entity_id": entity.id, "organisation_id": made.of, "type_id": entity.type_id}
                level, segment = chance.choice([None, 1, 2, 3]), chance.choice([None, "low", "top"])
                said = {"status": "assessed", "source": "rules", "number": 1}
                said |= {"assessed_us": 1, "level_since_us": 1, "hard_floor": 0}
                session.add(Standing(**of, **said, level=level, segment=segment))
        failing = select(Entity.id).where(Entity.external_id.in_([f"p-{number}" for number in range(0, 40, 3)]))
        session.execute(update(DueMark).where(DueMark.entity_id.in_(failing)).values(error="it broke"))
    made.wait(days=1)
    return made


def word(chance: random.Random) -> str:
    return "".join(chance.choices(SYLLABLES, k=chance.randint(1, 3)))


def slowly(bank: Bank, search: Search) -> list[str]:
    """Who should be found: identifiers, of entities that are looked at one by one."""
    wanted = beginnings_in(search.text)
    found: list[Any] = []
    with Session(bank.engine) as session:
        kind = session.scalars(select(EntityType).where(EntityType.name == "person")).one()
        by_number = text("SELECT entity_id, content FROM attributes ORDER BY number")
        newest = {row.entity_id: row.content for row in session.execute(by_number)}
        standings = {standing.entity_id: standing for standing in session.scalars(select(Standing))}
        for entity in session.scalars(select(Entity).where(Entity.type_id == kind.id, Entity.erased_us.is_(None))):
            standing = standings.get(entity.id)
            number = int(entity.external_id.removeprefix("p-"))
            words = words_of_entity(entity.external_id, eval(newest[entity.id]), FIELDS)
            if (
                all(any(one.startswith(each) for _, one in words) for each in wanted)
                and (search.tag is None or (search.tag == "watch" and number % 7 == 0))
                and (search.owner is None or (search.owner[1] == "p-0" and number % 5 == 1))
                and (search.failing is None or search.failing == (number % 3 == 0))
                and (not search.levels or (standing is not None and LEVELS[standing.level or 0] in search.levels))
                and (not search.segments or (standing is not None and standing.segment in search.segments))
            ):
                best = (
                    min((one for one in words if one[1].startswith(wanted[0])), default=(0, "")) if wanted else (0, "")
                )
                found.append((*best, entity.id, entity.external_id))
    return [row[-1] for row in sorted(found)]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("mueller", ["p-50", "p-51"]),
        ("Müller", ["p-50", "p-51"]),
        ("muller", ["p-51"]),
        ("juer mü", ["p-50", "p-51"]),
        ("lueden", ["p-51"]),
        ("jue", ["p-50"]),
        ("sue", []),
        ("oeresund", ["p-52", "p-53"]),
        ("Øre", ["p-52", "p-53"]),
        ("baeuerle", ["p-54"]),
        ("steuerbuero", ["p-54"]),
        ("bauermueller neuenmuehle", ["p-54"]),
        ("quelle", ["p-54"]),
    ],
)
def test_umlauts_are_found_by_either_spelling(bank: Bank, typed: str, found: list[str]) -> None:
    names = ["Juergen Mueller", "Jürgen Müller-Lüdenscheidt", "Øresund Susan", "Oeresund"]
    names.append("Bäuerle Bauermüller Neuenmühle Steuerbüro Quelle")
    for number, name in enumerate(names, 50):
        bank.put(f"p-{number}", kind="person", full_name=name)
    search = Search(text=typed)
    assert sorted(each.external_id for each in search_entities(bank.context, "person", search)) == found
    assert count_entities(bank.context, "person", search).count == len(found)


one_word = st.sampled_from(
    ["p", "p 1", "1", "2", "a", "an", "AN", "zo", "ä", "nan", "on", "anz", "q", "no", "anä", "aenzo", "naeo 1"]
)
some_levels = st.lists(st.sampled_from(platforms.LEVELS), max_size=2)
searches = st.builds(
    Search,
    text=one_word,
    tag=st.sampled_from([None, None, "watch", "old"]),
    owner=st.sampled_from([None, None, ("person", "p-0"), ("person", "p-3")]),
    levels=some_levels,
    segments=st.sampled_from([(), (), ("top",), ("low", "top")]),
    failing=st.sampled_from([None, None, True, False]),
)
by_fact = st.one_of(
    st.builds(
        Search,
        tag=st.sampled_from(["watch", "old"]),
        owner=st.sampled_from([None, ("person", "p-0")]),
        levels=some_levels,
        failing=st.sampled_from([None, True, False]),
    ),
    st.builds(
        Search,
        owner=st.just(("person", "p-0")),
        levels=some_levels,
        failing=st.sampled_from([None, True, False]),
    ),
    st.builds(Search, levels=some_levels, failing=st.just(True)),
)


@pytest.mark.postgresql
@settings(max_examples=examples(40), suppress_health_check=SHARED_FIXTURES)
@given(search=searches | by_fact, at_once=st.sampled_from([1, 3, 100]))
def test_who_is_found_is_whom_plain_python_finds(bank: Bank, search: Search, at_once: int) -> None:
    found = [
        line.external_id
        for line in every_row(lambda part: search_entities(bank.context, "person", search, part), at_once)
    ]
    expected = slowly(bank, search)
    assert sorted(found) == sorted(expected)
    if len(words_in(search.text)) < 2:  # of several the rarest gives the order
        assert found == expected
    assert count_entities(bank.context, "person", search).count == len(found)


@pytest.mark.postgresql
@settings(max_examples=examples(30), suppress_health_check=SHARED_FIXTURES)
@given(words=st.lists(one_word, min_size=2, max_size=4))
def test_all_of_several_words_are_found(bank: Bank, words: list[str]) -> None:
    search = Search(text=" ".join(words))
    found = [line.external_id for line in search_entities(bank.context, "person", search)]
    assert sorted(found) == sorted(slowly(bank, search))


@pytest.mark.postgresql
@pytest.mark.parametrize("rare", ["bert", "quax"])
def test_pages_keep_their_order_where_another_word_becomes_the_rarest(bank: Bank, rare: str) -> None:
    """Of one word fewer entities are known at first, of the other at the second page."""
    common = {"bert": "quax", "quax": "bert"}[rare]
    for number in range(6):
        bank.put(f"both-{number}", kind="person", full_name="Bert Quax")
    bank.put("one", kind="person", full_name=common)
    search = Search(text="bert quax")
    page = search_entities(bank.context, "person", search, Part(3))
    found = [line.external_id for line in page]
    for number in range(3):
        bank.put(f"later-{number}", kind="person", full_name=rare)
    while page.next is not None:
        page = search_entities(bank.context, "person", search, Part(3, page.next))
        found += [line.external_id for line in page]
    assert found == [f"both-{number}" for number in range(6)]


def test_a_place_that_no_page_gave_is_refused_or_is_the_end(bank: Bank) -> None:
    for by in (-1, 2):
        with pytest.raises(ConfigError, match="after must be the cursor"):
            search_entities(bank.context, "person", Search(text="p 1"), Part(3, (by, 0, "p", 1)))
    assert search_entities(bank.context, "person", Search(text="p 1"), Part(3, (0, 3, "p", 1))) == []


def test_a_name_is_shown_and_where_the_word_stands(bank: Bank) -> None:
    bank.put("zona", kind="person", full_name="Émile Zola", street="Rue Zola 1")
    bank.put("z9", kind="person", full_name="Nobody", street="Zola Place")
    found = search_entities(bank.context, "person", Search(text="ZOL"))
    assert [(line.external_id, line.name, line.found_in) for line in found] == [
        ("zona", "Émile Zola", "name"),
        ("z9", "Nobody", "other"),
    ]
    (emile,) = search_entities(bank.context, "person", Search(text="zol emile"))
    assert (emile.external_id, emile.level, emile.status, emile.score) == ("zona", None, None, None)


def test_of_whom_is_found_it_is_shown_whose_assessment_was_stopped(bank: Bank) -> None:
    bank.put("stopped", kind="person", full_name="Quillon")
    bank.put("fine", kind="person", full_name="Quillon")
    with writing(bank.engine) as session:
        session.execute(update(DueMark).where(DueMark.entity_id == bank.id_of("stopped")).values(error="it broke"))
    found = search_entities(bank.context, "person", Search(text="quillon"))
    assert {line.external_id: line.failing for line in found} == {"stopped": True, "fine": False}


def test_who_changed_is_found_by_what_is_true_now(bank: Bank) -> None:
    bank.put("p-1", kind="person", full_name="Quentin Quax")
    assert [line.external_id for line in search_entities(bank.context, "person", Search(text="quax"))] == ["p-1"]
    bank.put("p-1", kind="person", full_name="Quentin Quill")
    assert search_entities(bank.context, "person", Search(text="quax")) == []
    bank.put("p-1", kind="person", street="Quay 7")
    assert [line.found_in for line in search_entities(bank.context, "person", Search(text="quill"))] == ["name"]


@pytest.mark.postgresql
def test_who_was_erased_is_not_found(bank: Bank, tmp_path: Path) -> None:
    bank.put("gone", kind="person", full_name="Gone Girl")
    bank.wait(days=3_000)
    erase_entity(bank.context, "person", "gone", tmp_path / "register")
    assert search_entities(bank.context, "person", Search(text="girl")) == []
    with Session(bank.engine) as session:
        assert not session.scalars(select(SearchWord).where(SearchWord.word.in_(["gone", "girl"]))).all()


def test_other_organisations_are_not_found(bank: Bank) -> None:
    stranger = Context(bank.engine, platforms.actor(platforms.organisation(bank.engine, "other")), bank.context.clock)
    assert search_entities(stranger, "customer", Search(text="p")) == []
    for search in (Search(text="p"), Search(owner=("person", "p-0"))):
        with pytest.raises(NotFoundError):
            search_entities(stranger, "person", search)
    with pytest.raises(NotFoundError):
        search_entities(stranger, "customer", Search(text="p", owner=("person", "p-0")))


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        (Search(), "give words, a tag, an owner or failing=true"),
        (Search(failing=False), "give words, a tag, an owner or failing=true"),
        (Search(text=" - "), "the search text has no letter or digit"),
        (Search(text="a b c d e f g"), "the search text has 7 words; at most 6"),
        (Search(text="a", levels=["severe"]), "there is no level 'severe'"),
        (Search(text="a", segments=["huge"]), "there is no segment 'huge'"),
        (Search(text="a", statuses=["fine"]), "there is no status 'fine'"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(bank: Bank, search: Search, problem: str) -> None:
    for ask in (search_entities, count_entities):
        with pytest.raises(ConfigError, match=problem):
            ask(bank.context, "person", search)


def test_more_than_are_counted_are_called_more(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_entities(bank.context, "person", Search(text="p")).count == 40
    for module in ("fivefold.store.portfolio.search", "fivefold.usecases.portfolio.search"):
        monkeypatch.setattr(f"{module}.MOST_COUNTED", 39)
    counted = count_entities(bank.context, "person", Search(text="p"))
    assert (counted.count, counted.more) == (39, True)
    monkeypatch.setattr(searching, "MOST_COUNTED", 1)  # whichever word counts as rarest, the same are found
    search = Search(text="p 1")
    assert sorted(line.external_id for line in search_entities(bank.context, "person", search)) == sorted(
        slowly(bank, search)
    )


@pytest.mark.parametrize("rows", [1, 41, 30_000])
def test_the_count_is_the_same_however_many_rows_of_the_index_it_reads_first(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(searching, "MOST_ROWS_COUNTED", rows)
    for search in (Search(text="p"), Search(text="a"), Search(text="p 1")):
        assert count_entities(bank.context, "person", search).count == len(slowly(bank, search))


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("search", "index", "queries"),
    [
        (Search(text="an"), {"sqlite": "PRIMARY KEY", "postgresql": "pk_search_words"}, 4),
        (Search(text="an p"), {"sqlite": "PRIMARY KEY", "postgresql": "pk_search_words"}, 4),
        (Search(tag="watch"), dict.fromkeys(("sqlite", "postgresql"), "ix_tags_tag"), 4),
        (Search(owner=("person", "p-0")), dict.fromkeys(("sqlite", "postgresql"), "ix_ownerships_owner_id"), 5),
        (Search(failing=True), dict.fromkeys(("sqlite", "postgresql"), "ix_due_marks_failing"), 4),
    ],
)
def test_a_page_is_read_from_an_index_by_as_many_statements_as_any_other(
    bank: Bank, search: Search, index: dict[str, str], queries: int
) -> None:
    first = search_entities(bank.context, "person", search, Part(2))
    with statements(bank.engine) as asked:
        assert search_entities(bank.context, "person", search, Part(2, first.next))
    assert len(asked) == queries
    plan = plan_of(bank.engine, asked[-2])
    assert index[bank.engine.dialect.name] in plan, plan
    for table in ("search_words", "entities", "tags", "ownerships", "due_marks"):
        assert f"SCAN {table}" not in plan, plan
        assert f"Seq Scan on {table}" not in plan, plan


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@given(given_text=texts)
def test_words_are_found_by_each_of_their_beginnings(given_text: str) -> None:
    for found in words_in(given_text):
        assert 1 <= len(found) <= MOST_WORD
        assert any(found.startswith(beginnings) for beginnings in beginnings_in(given_text))
        for length in range(1, len(found) + 1):
            end = end_of(found[:length])
            assert found[:length] <= found
            assert end is None or found < end


@given(beginning=texts.filter(bool), other=texts)
def test_the_end_is_behind_all_that_begin_so_and_before_all_others(beginning: str, other: str) -> None:
    end = end_of(beginning)
    inside = beginning <= other and (end is None or other < end)
    assert inside == other.startswith(beginning)


def test_no_entity_has_more_words_than_are_kept() -> None:
    many = " ".join(f"w{number}" for number in range(200))
    words = list(_words(words_of_entity("id", {"street": many, "full_name": "Ann"}, FIELDS)))
    assert (len(words), words[:2]) == (MOST_WORDS, ["id", "ann"])


def _words(found: list[Any]) -> Iterator[str]:
    return (each for _, each in found)
