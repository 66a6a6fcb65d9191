"""Who proposed a change about one customer is behind it beside who approved it: neither answers what begins by it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.store.sql.database import writing
from fivefold.usecases.changes.asks import revoke_override
from fivefold.usecases.changes.facts import request_record, request_screening, request_tag, request_tag_end
from fivefold.usecases.changes.proposals import ChangeOutcome, approve_proposal
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.ingest.tags import announce_ended_tags
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.shared.actors import Role
from tests.usecases import banks
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.runs.test_calls import WHY, person
from tests.usecases.flows.runs.test_second_people import asking, refused
from tests.usecases.flows.triggers.test_chains import WATCH, settle


def standing(engine: Engine, **rules: Mapping[str, Any]) -> FlowBank:
    """Ada is low, may fall at once, and two people decide on what lowers a level."""
    bank = FlowBank(engine, "")
    bank.activate(banks.document({"country": banks.COUNTRY, **rules}, cooldown="1 day"))
    bank.put("ada", country="NO")
    bank.settle()
    with writing(bank.engine) as session:
        session.execute(text("UPDATE organisation_settings SET two_people_promote = true, locked_us = 1"))
    return bank


def held(bank: FlowBank, trigger: dict[str, Any]) -> None:
    """What was put holds her level up; what changes it, and the fall of the level, each begin a flow that asks."""
    settle(bank)
    bank.wait(2)
    bank.add_flow(asking("changed", [trigger], "seen"))
    bank.add_flow(asking("fallen", [{"on": "level", "direction": "down"}], "seen too"))


def approved(bank: FlowBank, outcome: ChangeOutcome) -> None:
    assert outcome.proposal is not None
    approve_proposal(person(bank, "member:2"), outcome.proposal.id, WHY)
    bank.wait(0, 1)
    settle(bank)


def neither_answers(bank: FlowBank, *causes: str) -> None:
    """Who proposed (member:1) and who approved (member:2) cannot answer what began by these kinds of causes."""
    runs = {run.cause.partition(":")[0]: run for run in bank.runs()}
    for cause in causes:
        for name in ("member:1", "member:2"):
            refused(bank, runs[cause].id, name, "called or caused")
        assert answer_run(person(bank, "member:3"), Role.INVESTIGATOR, runs[cause].id, "no", WHY).at == "nothing"


@pytest.mark.postgresql
@pytest.mark.parametrize("later", [False, True])
def test_who_proposed_the_end_of_a_tag_does_not_answer_what_begins_by_it(engine: Engine, *, later: bool) -> None:
    bank = standing(engine, watch=WATCH)
    set_tag(person(bank, "member:9"), "customer", "ada", "watch")
    held(bank, {"on": "tag", "tag": "watch", "change": "ended"})
    if later:
        until_us = bank.now + DAY_US
        approved(bank, request_tag(person(bank, "member:1"), "customer", "ada", "watch", until_us=until_us, reason=WHY))
        bank.wait(1)
        while announce_ended_tags(bank.engine, bank.now):
            pass
        settle(bank)
    else:
        approved(bank, request_tag_end(person(bank, "member:1"), "customer", "ada", "watch", reason=WHY))
    neither_answers(bank, "tag-end", "level")


def test_who_proposed_a_clean_screening_does_not_answer_what_begins_by_it(engine: Engine) -> None:
    bank = standing(engine, screened=banks.SCREENED)
    add_screening(bank.context, "customer", "ada", "sanctions", has_match=True)
    held(bank, {"on": "screening", "screening": "sanctions"})
    approved(
        bank, request_screening(person(bank, "member:1"), "customer", "ada", "sanctions", reason=WHY, has_match=False)
    )
    neither_answers(bank, "screening", "level")


def test_who_proposed_a_change_of_a_case_does_not_answer_what_begins_by_it(engine: Engine) -> None:
    bank = standing(engine, cases=banks.CONFIRMED)
    case = RecordGiven(external_id="7", opened_us=bank.now, closed_us=bank.now, outcome="confirmed")
    put_record(bank.context, "customer", "ada", "case", case)
    held(bank, {"on": "case"})
    harmless = replace(case, outcome="no harm")
    approved(bank, request_record(person(bank, "member:1"), "customer", "ada", "case", harmless, reason=WHY))
    neither_answers(bank, "case", "level")


def test_who_proposed_the_end_of_an_override_does_not_answer_what_begins_by_it(engine: Engine) -> None:
    bank = standing(engine)
    override = request_override(person(bank, "member:7"), "customer", "ada", "high", WHY)
    approve_override(person(bank, "member:8"), override.id, WHY)
    held(bank, {"on": "alert"})
    approved(bank, revoke_override(person(bank, "member:1"), override.id, WHY))
    assert bank.runs()[0].about["people"] == ["member:1", "member:2", "member:7", "member:8"]
    neither_answers(bank, "level")
