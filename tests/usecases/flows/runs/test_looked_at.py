"""What a person is to look at who is asked by a run: words of the flow, and inputs with their values."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.flows.analysis import analyse_flow
from fivefold.flows.doubts import lint_flow
from fivefold.flows.governance.diff import diff_flows
from fivefold.flows.language import read_flow
from fivefold.risk.language.documents import Document
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.replays.one import try_flow_version
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import run_seen_by, view_run
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.queue.items import list_items
from fivefold.usecases.shared.actors import Role
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import payment

WORDS = "The receiver, in the letters of the last weeks."
ASKED = "      question: Is this payment right?\n"
LOOKS = LARGE.replace(
    ASKED, ASKED + f"      look_at: ['{WORDS}', {{transaction: amount}}, {{transaction: operation}}]\n"
)


@pytest.mark.postgresql
def test_a_question_says_what_to_look_at_with_what_it_was(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LOOKS)
    run = call_flow(bank.context, "large", "customer", "a", payment(5000))
    assert run.question is not None
    words, seen = run.question.look_at
    assert words == WORDS
    assert "5000" in seen.replace(",", "")
    assert view_run(bank.context, run.number).question == run.question
    assert seen in json.dumps(run.why, ensure_ascii=False)
    assert replay_record(bank.context, "f:1").same
    (item,) = list_items(bank.context, Role.INVESTIGATOR)
    assert item.look_at == (WORDS,)


@pytest.mark.parametrize("role", [Role.INVESTIGATOR, Role.PUBLISHER])
def test_those_linked_are_named_in_the_question_and_in_the_why(engine: Engine, role: Role) -> None:
    bank = FlowBank(engine)
    define_type(bank.context, "customer", {"full_name": "text"}, links={"household": "shared"})
    bank.put("b", full_name="Bo Holm")
    put_links(bank.context, "customer", [LinkRow(name, "household", "H1") for name in "ab"])
    looks = LARGE.replace(ASKED, ASKED + "      look_at: [{linked: {by: household, count: entities}}]\n")
    bank.add_flow(looks.replace("triggers:", "links: {household: {kind: shared}}\ntriggers:"))
    made = call_flow(bank.context, "large", "customer", "a", payment(5000))
    run = run_seen_by(bank.context, role, made)
    assert run.question is not None
    named = "through household H1: Bo Holm (b)"
    assert named in run.question.look_at[0]
    assert named in json.dumps(run.why)
    number = f"H1: {bank.id_of('b')}"
    assert number in json.dumps(made.why)  # what is stored stays as it is
    assert number not in json.dumps([run.why, run.question.look_at])
    assert replay_record(bank.context, "f:1").same
    bank.post(1, 5000)
    tried = json.dumps(try_flow_version(bank.context, "large", 1, "a", "t1").why)
    assert named in tried
    assert number not in tried


def test_a_flow_without_it_is_the_text_that_it_was() -> None:
    assert "look_at" not in read_flow(LARGE).canonical
    assert read_flow(LARGE).content_hash != read_flow(LOOKS).content_hash
    (change,) = diff_flows(read_flow(LARGE), read_flow(LOOKS)).changes
    assert WORDS in str(change)


@pytest.mark.parametrize(
    ("look_at", "problem"),
    [
        ("{field: mood}", "mood"),
        ("{step: nothing, output: answer}", "nothing"),
        ("{step: ask, output: answer}", "ask"),
    ],
)
def test_what_cannot_be_looked_at_there_is_a_fault(look_at: str, problem: str) -> None:
    text = LARGE.replace(ASKED, ASKED + f"      look_at: [{look_at}]\n")
    found: list[Any] = [each for each in lint_flow(analyse_flow(text), {}, Document(text)) if each.fatal]
    assert found
    assert all(problem in str(each) and "look_at" in str(each.where) for each in found)
