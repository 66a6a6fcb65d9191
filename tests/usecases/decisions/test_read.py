"""Decisions as they were made: read, listed, made again to the byte; and gone once they were erased."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.risk.engine.explain.stored import WORDS
from fivefold.store.tables.events import Decision
from fivefold.usecases.decisions.read import list_decisions, read_decision, replay_decision
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.levels.replay import WORDS_WITHOUT_NUMBER
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.decisions.deciding import CASH, CASH_OF_HIGH, WORTH, Desk, cash, opened


def rewrite(desk: Desk, number: int, **values: Any) -> None:
    with forged(desk.bank.engine) as connection:
        connection.execute(update(Decision).where(Decision.id == number).values(**values))


@pytest.mark.postgresql
def test_a_decision_is_read_as_it_was_made(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    made = desk.decide()
    assert read_decision(Context(desk.bank.engine, desk.ana), made.number) == made


def test_decisions_are_listed_the_latest_first_page_by_page(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    numbers = [desk.decide(given=cash(-1000.0 - at)).number for at in range(3)]
    desk.decide("bo")
    ask = (Context(desk.bank.engine, desk.ana), "customer", "ada")
    found = list_decisions(*ask)
    assert [line.number for line in found] == numbers[::-1]
    assert [line.action for line in found] == ["block", "block", "allow"]
    assert found[0].line == "Block, by R0"
    assert found[0].policy == ("payments", 1)
    assert [line.number for line in list_decisions(*ask, Part(1, (numbers[2],)))] == [numbers[1]]


def test_a_decision_comes_out_again_whatever_came_after(desk: Desk) -> None:
    """Another policy, another ruleset, another version of a list, other levels, values and attributes."""
    bank = desk.bank
    put_list_version(bank.context, "hot", 0, ["IR"], "Hot", "us")
    desk.value("ada", 4.1)
    desk.publish({"when": {"field": "country", "in_list": "hot"}, "action": "review"}, WORTH, CASH_OF_HIGH)
    numbers = [desk.decide(name, cash(amount)).number for name in ("ada", "bo") for amount in (-1200.0, 0.3)]
    stored = [read_decision(Context(bank.engine, desk.ana), number).answer for number in numbers]
    put_list_version(bank.context, "hot", bank.now + 1, ["NO"], "Hot", "us")
    bank.activate(banks.document({"income": banks.INCOME}))
    bank.wait(5)
    bank.put("ada", country="NO", income=5)
    desk.value("ada", 1.0)
    desk.publish(CASH)
    bank.mark("ada")
    bank.settle()
    for number in numbers:
        found = replay_decision(Context(bank.engine, desk.ana), number)
        assert found.same, (found.stored, found.breakdown_now)
        assert found.assessment == f"d:{number}"
        assert found.engine == found.engine_now
    assert [read_decision(Context(bank.engine, desk.ana), number).answer for number in numbers] == stored


@pytest.mark.parametrize(
    ("column", "old", "new"),
    [
        ("answer", '"action":"block"', '"action":"allow"'),
        ("answer", '"level":"high"', '"level":"low"'),
        ("inputs", '"{\\"level\\":\\"in_force\\"}":3', '"{\\"level\\":\\"in_force\\"}":1'),
        ("inputs", '"score":"4.1"', '"score":"4.2"'),
        ("inputs", '"version":1', '"version":2'),
    ],
)
def test_one_that_was_changed_does_not_come_out_again(desk: Desk, column: str, old: str, new: str) -> None:
    desk.value("ada", 4.1)
    desk.publish(CASH_OF_HIGH)
    made = desk.decide()
    (row,) = desk.rows()
    text = getattr(row, column)
    assert old in text
    rewrite(desk, made.number, **{column: text.replace(old, new)})
    assert not replay_decision(Context(desk.bank.engine, desk.ana), made.number).same


def test_one_that_was_moved_does_not_come_out_again(desk: Desk) -> None:
    """The customer, the moment and the policy are those that it was made about, at and by."""
    desk.publish(CASH_OF_HIGH, name="transfers")
    desk.publish(CASH_OF_HIGH)
    made = desk.decide()
    ask = Context(desk.bank.engine, desk.ana)
    (row,) = desk.rows()
    moved = {"entity_id": desk.bank.id_of("bo"), "at_us": row.at_us - 5, "policy_id": 1, "action": "allow"}
    for column, value in moved.items():
        assert replay_decision(ask, made.number).same
        rewrite(desk, made.number, **{column: value})
        assert not replay_decision(ask, made.number).same, column
        rewrite(desk, made.number, **{column: getattr(row, column)})


def test_one_in_other_words_is_the_same_but_for_these(desk: Desk) -> None:
    """What was stored without a number of the words has older ones."""
    desk.publish(CASH_OF_HIGH)
    number, ask = desk.decide().number, Context(desk.bank.engine, desk.ana)
    answer = json.loads(desk.rows()[0].answer or "")
    assert answer["words"] == WORDS
    assert not replay_decision(ask, number).in_other_words
    (rule,) = answer["rules"]
    worded = {**answer, "line": "Block.", "rules": [{**rule, "seen": "cash", "sentence": "It was cash."}]}
    rewrite(desk, number, answer=canonical_json(worded))
    assert not replay_decision(ask, number).same  # in these words it would say something else
    older = {key: value for key, value in worded.items() if key != "words"}
    rewrite(desk, number, answer=canonical_json(older))
    replayed = replay_decision(ask, number)
    assert (replayed.same, replayed.in_other_words, replayed.words) == (True, True, WORDS_WITHOUT_NUMBER)
    assert json.loads(replayed.stored)["line"] == "Block."
    for other in ({"decided_by": None}, {"rules": [{**rule, "outcome": "not held"}]}, {"rules": []}):
        rewrite(desk, number, answer=canonical_json({**older, **other}))
        assert not replay_decision(ask, number).same, other


def test_a_replay_is_asked_for_by_name(desk: Desk) -> None:
    desk.publish(CASH)
    made = desk.decide()
    ask = Context(desk.bank.engine, desk.ana)
    assert replay_record(ask, f"d:{made.number}").breakdown_now == replay_decision(ask, made.number).breakdown_now
    assert '"ruleset":"retail"' in replay_record(ask, f"{desk.bank.id_of('ada')}.1").breakdown_now
    for name in ("d:", "d:x", "d:1.1", "d:-1", "d:99", f"d:{10**18}"):
        with pytest.raises(NotFoundError, match="there is no decision"):
            replay_record(ask, name)
    with pytest.raises(NotFoundError, match="there is no assessment 'e:1'"):
        replay_record(ask, "e:1")


def test_an_erased_one_says_so_and_keeps_its_action(desk: Desk, tmp_path: Path) -> None:
    desk.publish(CASH_OF_HIGH)
    made = desk.decide(given=cash(transaction_id="t-1", operation="cash"))
    later = desk.bank.now + 4000 * DAY_US
    erase_entity(Context(desk.bank.engine, desk.ana).at(later), "customer", "ada", tmp_path / "erased")
    with pytest.raises(ConflictError, match=f"decision {made.number} was erased: what it was made from is gone"):
        replay_decision(Context(desk.bank.engine, desk.ana), made.number)
    found = read_decision(Context(desk.bank.engine, desk.ana), made.number)
    assert (found.action, found.answer, found.policy) == ("block", None, ("payments", 1))
    with pytest.raises(NotFoundError):
        list_decisions(Context(desk.bank.engine, desk.ana), "customer", "ada")
    (line,) = list_decisions(Context(desk.bank.engine, desk.ana), "customer", f"erased-{desk.rows()[0].entity_id}")
    assert (line.action, line.line) == ("block", "")
    assert desk.rows()[0].decision_key is None, "a transaction's number may say whose it was"
    bind_unnamed(desk.bank.engine)
    assert findings_of(desk.bank.engine) == []


def test_digests_of_what_was_decided_stand_in_the_audit_log(desk: Desk) -> None:
    from hashlib import sha256

    from fivefold.store.tables.audit import AuditValues
    from tests.usecases.governed import rows_of

    desk.publish(CASH_OF_HIGH)
    desk.decide()
    (row,) = desk.rows()
    told = json.loads(rows_of(desk.bank.engine, AuditValues)[-1]["after"])
    assert told == {name: sha256((getattr(row, name) or "").encode()).hexdigest() for name in ("inputs", "answer")}


@pytest.mark.parametrize("number", [0, 99, 2**62])
def test_what_is_not_there_is_not_there(desk: Desk, number: int) -> None:
    for ask in (read_decision, replay_decision):
        with pytest.raises(NotFoundError, match=f"there is no decision {number}"):
            ask(Context(desk.bank.engine, desk.ana), number)


def test_nor_is_that_of_another_organisation(desk: Desk, engine: Engine) -> None:
    desk.publish(CASH)
    made = desk.decide()
    other = opened(engine, "other")
    for ask in (read_decision, replay_decision):
        with pytest.raises(NotFoundError, match=f"there is no decision {made.number}"):
            ask(Context(engine, other.ana), made.number)
    desk.bank.put("only ours", country="NO")
    with pytest.raises(NotFoundError, match="there is no customer 'only ours'"):
        list_decisions(Context(engine, other.ana), "customer", "only ours")
    assert list_decisions(Context(engine, other.ana), "customer", "ada") == []
