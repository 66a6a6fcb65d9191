"""From where each value of the reasons is, and since when: as it was known at the assessment, whatever came since."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import NotFoundError
from fivefold.store.levels import bulk_reads
from fivefold.store.tables.entities import Attributes, Entity, ValueScore
from fivefold.store.tables.levels import Assessment, AssessmentInputs
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.bulk_facts import TagRow, put_tags
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.explain import read_reasons
from fivefold.usecases.levels.portfolio import read_transactions
from fivefold.usecases.portfolio.sources import AssessmentSources, ValueSource, sources_of
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

NORWAY = {"input": {"field": "country"}, "cases": [{"when": {"equals": "NO"}, "points": 5}]}
WATCHED = {"cases": [{"when": {"tag": "watch", "is": "present"}, "points": 10}]}
HIT = {"cases": [{"when": {"screening": "sanctions", "is": "present"}, "points": 9}]}
PAID = {"input": {"count": "transactions"}, "cases": [{"when": {"at_least": 0}, "points": 2}]}
SEEN = {"input": {"count": "cases"}, "cases": [{"when": {"at_least": 0}, "points": 3}]}
RULES: dict[str, dict[str, Any]] = {"country": NORWAY, "watch": WATCHED, "hit": HIT, "paid": PAID, "seen": SEEN}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer of Norway, known for ten days, of whom every rule asks something else."""
    made = Bank(engine)
    made.activate(banks.document(RULES))
    made.put("a", country="NO", income=1)
    made.wait(days=10)
    return made


def assessed(bank: Bank, name: str = "a") -> str:
    """Assess a customer anew; give the number of the assessment."""
    bank.mark(name)
    bank.settle()
    return f"{bank.id_of(name)}.{bank.standing(name).number}"


def told(bank: Bank, assessment: str) -> AssessmentSources:
    """The sources, which stand beside the reasons rule by rule and value by value."""
    sources, reasons = sources_of(bank.context, assessment), read_reasons(bank.context, assessment)
    assert sources is not None
    assert reasons is not None
    named = [(rule.title, [value.name for value in rule.values]) for rule in sources.rules]
    assert named == [(rule.title, [value.name for value in rule.values]) for rule in reasons.rules]
    return sources


def source(bank: Bank, assessment: str, title: str) -> ValueSource:
    """The one source of the one value of a rule."""
    (rule,) = [rule for rule in told(bank, assessment).rules if rule.title == title]
    ((found,),) = [value.sources for value in rule.values]
    return found


def put_as(bank: Bank, who: str, **attributes: Any) -> None:
    """Somebody changes attributes of the customer."""
    put_entities(Context(bank.engine, Actor(bank.of, who)).at(bank.now), "customer", [EntityRow("a", attributes)])


def test_an_attribute_that_changed_since_keeps_the_day_and_the_person_of_then(bank: Bank) -> None:
    set_us = bank.now - 10 * DAY_US
    bank.put("a", income=2)  # another version, in which the country is the same
    first = assessed(bank)
    expected = ValueSource(kind="attribute", about="country", state="stored", at_us=set_us, by="member:1")
    assert source(bank, first, "Country") == expected
    bank.wait(days=3)
    put_as(bank, "member:7", country="SE")
    assessed(bank)
    bank.wait(days=1)
    back_us = bank.now
    put_as(bank, "member:8", country="NO")
    second = assessed(bank)
    assert source(bank, first, "Country") == expected
    later = source(bank, second, "Country")
    assert (later.at_us, later.by) == (back_us, "member:8")


def test_who_set_many_at_once_is_not_guessed(bank: Bank) -> None:
    rows = [EntityRow(name, {"country": "NO"}) for name in ("b", "c")]
    put_entities(bank.context, "customer", rows)
    found = source(bank, assessed(bank, "b"), "Country")
    assert (found.state, found.at_us, found.by) == ("stored", bank.now, None)


def test_an_attribute_whose_history_is_gone_has_no_day(bank: Bank) -> None:
    first = assessed(bank)
    with Session(bank.engine) as session, session.begin():
        session.get_one(Entity, bank.id_of("a")).erased_us = bank.now  # the guards of history ask for it
        session.flush()
        session.execute(delete(Attributes).where(Attributes.entity_id == bank.id_of("a")))
    assert source(bank, first, "Country") == ValueSource(kind="attribute", about="country", state="not stored")


def test_an_attribute_that_says_something_else_than_was_seen_has_no_day(bank: Bank) -> None:
    first = assessed(bank)
    with Session(bank.engine) as session, session.begin():  # as a clock that was behind would have dated it
        of = {"entity_id": bank.id_of("a"), "number": 2, "content": '{"country":"SE"}'}
        session.add(Attributes(**of, known_us=bank.now))
    assert source(bank, first, "Country").state == "not stored"


def test_a_tag_that_ended_since_is_told_with_the_day_on_which_it_was_set(bank: Bank) -> None:
    set_us = bank.now
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + 90 * DAY_US)
    bank.wait(days=2)
    set_tag(bank.context, "customer", "a", "watch")  # goes on without end, in a row of its own
    bank.wait(days=2)
    first = assessed(bank)
    expected = ValueSource(kind="tag", about="watch", state="stored", at_us=set_us, by="member:1")
    assert source(bank, first, "Watch") == expected
    bank.wait(days=1)
    end_tag(bank.context, "customer", "a", "watch")
    assert source(bank, first, "Watch") == expected


def test_a_screening_that_was_repeated_and_one_known_late_change_nothing(bank: Bank) -> None:
    screened = bank.now - 5 * DAY_US
    add_screening(bank.context, "customer", "a", "sanctions", has_match=True, at_us=screened - 30 * DAY_US)
    add_screening(bank.context, "customer", "a", "sanctions", has_match=True, at_us=screened)
    first = assessed(bank)
    expected = ValueSource(kind="screening", about="sanctions", state="stored", at_us=screened)
    assert source(bank, first, "Hit") == expected
    bank.wait(days=1)
    add_screening(bank.context, "customer", "a", "sanctions", has_match=True, at_us=screened + DAY_US)  # known late
    add_screening(bank.context, "customer", "a", "sanctions", has_match=True)
    bank.pay(1)
    assert source(bank, first, "Hit") == expected
    assert source(bank, assessed(bank), "Hit").at_us == bank.now


def test_the_latest_transaction_is_the_one_that_was_known_then(bank: Bank) -> None:
    bank.put("shop", owner=("customer", "a"))
    day = "2026-11-{:02}T00:00:00"
    add_transactions(
        bank.context,
        [
            platforms.transaction(1, transaction_date=day.format(10)),
            platforms.transaction(2, transaction_date=day.format(19)),
            platforms.transaction(3, transaction_date=day.format(18)),
            platforms.transaction(4, "shop", transaction_date=day.format(12)),
            {"transaction_id": "c1", "reverses": "t2", "correction_reason": "No."},
            {"transaction_id": "c2", "corrects": "t3", "correction_reason": "No.", "transaction_date": day.format(11)},
        ],
    )
    first = assessed(bank)
    with Session(bank.engine) as session:
        whose = bulk_reads.fact_owners(session, [bank.id_of("a")])
        rows = read_transactions(session, whose, bank.now, for_value=False)
    latest = rows["at_us"].max()
    assert isinstance(latest, int)
    assert latest == platforms.NOW - 8 * DAY_US  # that of the shop
    expected = ValueSource(kind="transactions", about="", state="stored", at_us=latest)
    assert source(bank, first, "Paid") == expected
    bank.wait(days=1)
    add_transactions(
        bank.context,
        [
            platforms.transaction(5, transaction_date=day.format(20)),  # happened before, known after
            platforms.transaction(6, transaction_date=day.format(1)),
            {"transaction_id": "c3", "reverses": "t4", "correction_reason": "No."},
            {"transaction_id": "c4", "corrects": "t3", "correction_reason": "No.", "transaction_date": day.format(21)},
        ],
    )
    assert source(bank, first, "Paid") == expected
    assert source(bank, assessed(bank), "Paid").at_us == platforms.NOW + DAY_US


def test_transactions_have_no_age_where_owners_may_have_changed_since(bank: Bank) -> None:
    bank.pay(1)
    first = assessed(bank)
    assert source(bank, first, "Paid").at_us == bank.now
    bank.wait(days=1)
    bank.put("shop", owners=[OwnerGiven("customer", "a")])
    assert source(bank, first, "Paid") == ValueSource(kind="transactions", about="", state="not stored")


def test_cases_have_no_moment_of_arrival_so_one_that_came_since_takes_the_age_away(bank: Bank) -> None:
    assert source(bank, assessed(bank), "Seen").state == "none"
    opened = bank.now - 2 * DAY_US
    put_record(bank.context, "customer", "a", "case", RecordGiven(external_id="1", opened_us=opened))
    first = assessed(bank)
    assert source(bank, first, "Seen") == ValueSource(kind="cases", about="", state="stored", at_us=opened)
    bank.wait(days=1)
    put_record(bank.context, "customer", "a", "case", RecordGiven(external_id="2", opened_us=opened + 1))
    assert source(bank, first, "Seen") == ValueSource(kind="cases", about="", state="not stored")


def test_what_was_absent_is_said_and_nothing_invented(bank: Bank) -> None:
    unknown: dict[str, Any] = {"input": {"field": "occupation"}, "cases": [{"when": {"equals": "x"}, "points": 1}]}
    unknown["on_unknown"] = {"points": 4}
    screened: dict[str, Any] = {"cases": [{"when": {"not": {"screening": "pep", "is": "present"}}, "points": 1}]}
    screened["on_unknown"] = {"points": 6}
    untagged = {"cases": [{"when": {"not": {"tag": "vip", "is": "present"}}, "points": 1}]}
    bank.activate(banks.document({"unknown": unknown, "screened": screened, "untagged": untagged, "paid": PAID}))
    first = assessed(bank)
    bank.wait(days=1)
    bank.put("a", occupation="baker")
    set_tag(bank.context, "customer", "a", "vip")
    assert source(bank, first, "Unknown") == ValueSource(kind="attribute", about="occupation", state="not known")
    assert source(bank, first, "Untagged") == ValueSource(kind="tag", about="vip", state="none")
    assert source(bank, first, "Paid") == ValueSource(kind="transactions", about="", state="none")
    assert [rule.values for rule in told(bank, first).rules if rule.title == "Screened"] == [()]


def test_a_value_is_that_of_its_model_and_moment(bank: Bank) -> None:
    rule = {"input": {"value": "score"}, "cases": [{"when": {"at_least": 1}, "points": 4}]}
    bank.activate(banks.document({"value": rule}))
    scored = {"score": 3.5, "segment": "high", "expected_value": 9.5, "currency": "EUR", "model": "value"}

    def score(version: int, days_ago: int = 0) -> None:
        moment = bank.now - days_ago * DAY_US
        of = {"entity_id": bank.id_of("a"), "as_of_us": moment, "model_version": version, "fingerprint": "x"}
        with Session(bank.engine) as session, session.begin():
            session.add(ValueScore(**of, **scored))

    score(2, days_ago=4)
    score(3, days_ago=2)
    first = assessed(bank)
    found = source(bank, first, "Value")
    assert (found.state, found.at_us, found.model, found.model_version) == ("stored", bank.now - 2 * DAY_US, "value", 3)
    bank.wait(days=1)
    score(4)
    assert source(bank, first, "Value") == found


def test_a_ratio_has_the_sources_of_both_sides_and_the_category_is_told(bank: Bank) -> None:
    share = {"ratio": [banks.CASH["input"], {"field": "income"}]}
    rule = {"input": share, "cases": [{"when": {"at_least": 0.5}, "points": 3}], "category": "geography"}
    bank.pay(1)
    bank.activate(banks.document({"share": rule}))
    first = assessed(bank)
    (found,) = told(bank, first).rules
    assert found.category == "geography"
    assert [(each.kind, each.about, each.at_us) for each in found.values[0].sources] == [
        ("transactions", "", bank.now),
        ("attribute", "income", bank.now - 10 * DAY_US),
    ]
    assert not [secret for secret in ("operation", "0.5", "cash") if secret in repr(found)]


@pytest.mark.parametrize(
    ("group", "read"),
    [
        ({"sum": {"sum": "amount", "over": "30 days"}}, [("transactions", "")]),
        ({"any": {"tag": "watch", "is": "present"}}, [("tag", "")]),
        (
            {"any": {"any": [{"field": "country", "equals": "NO"}, {"field": "income", "above": 1}]}},
            [("attribute", "")],
        ),
        (
            {"sum": {"field": "income"}, "where": {"tag": "watch", "is": "present"}},
            [("attribute", "income"), ("tag", "")],
        ),
        ({"count": "entities"}, []),
    ],
)
def test_a_value_over_those_linked_is_from_the_links_and_never_from_the_customers_own(
    bank: Bank, group: dict[str, Any], read: list[tuple[str, str]]
) -> None:
    context = bank.context
    define_type(context, "customer", {}, links={"household": "shared"})
    bank.put("b", country="NO", income=1.0)
    put_links(context, "customer", [LinkRow("a", "household", "H1"), LinkRow("b", "household", "H1")])
    set_tag(context, "customer", "a", "watch")
    set_tag(context, "customer", "b", "watch")
    bank.pay(1)  # of the customer itself, which the rule does not read
    bank.wait(days=2)
    bank.pay(2, "b")
    when = {"equals": True} if "any" in group else {"at_least": 0}
    near = {"input": {"linked": {"by": "household", **group}}, "cases": [{"when": when, "points": 5}]}
    bank.activate(banks.document({"near": near}, links={"household": {"kind": "shared"}}))
    (found,) = told(bank, assessed(bank)).rules
    assert found.values[0].sources == (
        ValueSource(kind="links", about="household", state="not stored"),
        *(ValueSource(kind=kind, about=about, state="not stored", through="household") for kind, about in read),  # type: ignore[arg-type]  # kinds
    )


def test_of_what_was_erased_nothing_is_told(bank: Bank, tmp_path: Path) -> None:
    first = assessed(bank)
    bank.put("b", country="NO")
    second = assessed(bank, "b")
    with Session(bank.engine) as session, session.begin():
        session.get_one(Entity, bank.id_of("a")).erased_us = bank.now  # the guards of history ask for it
        session.flush()
        inputs = session.get_one(AssessmentInputs, (bank.id_of("a"), 1))
        inputs.content = inputs.salt = None
        session.get_one(Assessment, (bank.id_of("a"), 1)).breakdown = None
    assert sources_of(bank.context, first) is None
    bank.wait(days=2000)  # records are kept for five years
    erase_entity(bank.context, "customer", "b", tmp_path / "register")
    assert sources_of(bank.context, second) is None


def test_without_a_ruleset_there_is_no_source(bank: Bank) -> None:
    bank.add_type("company", {}, {})
    bank.put("firm", kind="company")
    bank.settle()
    assert told(bank, f"{bank.id_of('firm')}.1").rules == ()


def test_another_organisations_assessments_are_not_there(bank: Bank) -> None:
    first, other = assessed(bank), Bank(bank.engine, "other")
    for name in (first, "999.1"):
        with pytest.raises(NotFoundError, match=f"^there is no assessment '{name}'$"):
            sources_of(Context(bank.engine, other.actor), name)


def test_facts_are_read_by_two_statements_whatever_is_asked(bank: Bank) -> None:
    words: dict[str, Any] = {
        f"w{number}": {"cases": [{"when": {"tag": f"t{number}", "is": "present"}, "points": 1}]} for number in range(9)
    }
    fields: dict[str, Any] = {
        name: {"input": {"field": name}, "cases": [{"when": "present", "points": 1}]} for name in ("country", "income")
    }
    put_tags(bank.context, "customer", [TagRow("a", f"t{number}") for number in range(9)])
    bank.activate(banks.document({**RULES, **words, **fields}))
    sent: list[str] = []
    first = assessed(bank)
    with bank.context.at_one_moment() as moment:
        read_reasons(moment, first)
        assert moment.snapshot is not None
        moment.snapshot.get_one(Entity, bank.id_of("a"))
        event.listen(bank.engine, "before_cursor_execute", lambda *seen: sent.append(seen[2]))
        sources = sources_of(moment, first)
    assert sources is not None
    assert len(sources.rules) >= 13
    assert len(sent) == 2
