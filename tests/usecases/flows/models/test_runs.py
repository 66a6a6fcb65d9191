"""Runs that ask a model, as the worker carries them out: the version that answered is kept, and nothing is wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError
from fivefold.domain.settings import read_settings
from fivefold.models.registered.loading import LoadedModel, Models
from fivefold.store.tables.flows import StepOutcome
from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.flows.registrations import refuse_unregistered
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.execute import LEASE_US, run_flows
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import view_run
from tests.usecases.decisions.deciding import Desk
from tests.usecases.flows.documents import WHY, Data, acting, as_, committed, flow_document
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.models.registering import Adds, Odd, Shelf, shelves, signature_of
from tests.usecases.flows.runs.test_killed import DiedError

LEAVING = """
flow: leaving
title: Who may leave
entity_type: customer
levels: [low, medium, high]
fields: {income: number}
transaction_fields: {operation: text}
triggers: [{on: transaction}]
actions:
  - {id: look, title: Look, review: 2 days}
  - {id: note, title: Note, tag: leaving}
steps:
  - id: churn
    title: How likely they leave
    model:
      name: churn
      alias: champion
      send: {age: {transaction: amount}, income: {field: income}}
      gives: {probability: number}
    on_unknown: unknown
  - id: choice
    title: Choice
    route: [{when: {step: churn, output: probability, at_least: 0.5}, to: likely}]
    otherwise: stays
  - {id: likely, title: Likely, end: [note]}
  - {id: stays, title: Stays, end: []}
  - {id: unknown, title: Unknown, end: [look]}
on_failure: [look]
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A registry in the place of the settings, whose models the organisation `bank` may ask."""
    path = tmp_path / "sources.yaml"
    allowed = {"bank": {"models": ["churn"]}}
    path.write_text(yaml.safe_dump({"organisations": allowed, "models": {"churn": {"title": "Who leaves"}}}))
    monkeypatch.setenv("FIVEFOLD_SOURCES_FILE", str(path))
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    asking._outside.cache_clear()
    yield from shelves(tmp_path / "var")
    asking._outside.cache_clear()


def outcome_of(bank: FlowBank, run: int) -> Data:
    [answered] = view_run(bank.context, run).answered
    return dict(answered.outcome)


@pytest.mark.postgresql
def test_a_run_keeps_which_version_answered_and_why_and_is_made_again_without_the_registry(
    engine: Engine, shelf: Shelf
) -> None:
    shelf.churn()
    bank = FlowBank(engine)
    bank.put("a", income=4_000)
    bank.add_flow(LEAVING)
    bank.post(1, 79)
    bank.post(2, 21, "b")
    bank.work()
    assert [state for _, state, _ in bank.states()] == ["ended", "ended"]
    assert bank.states()[0][2] == "likely"
    outcome = outcome_of(bank, 1)
    assert {name: outcome["model"][name] for name in ("name", "alias", "version")} == {
        "name": "churn",
        "alias": "champion",
        "version": 1,
    }
    why = view_run(bank.context, 1).why
    assert why is not None
    step = why["steps"][0]
    assert step["model"] == outcome["model"]
    assert "of anyone, +" in step["sentence"]
    assert "by income" in step["sentence"]
    assert "the log-odds of probability; gives probability 0." in step["sentence"]
    shelf.delete("churn")
    assert [replay_record(bank.context, f"f:{number}").same for number in (1, 2)] == [True, True]


def test_many_runs_ask_a_model_at_once(engine: Engine, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.churn()
    bank = FlowBank(engine, customers="abcdefgh")
    bank.add_flow(LEAVING)
    for number, name in enumerate("abcdefgh"):
        bank.post(number, 20 + 5 * number, name)
    sizes, loads = list[int](), list[int]()
    predict, load = LoadedModel.predict, Models._load
    monkeypatch.setattr(LoadedModel, "predict", lambda self, frame: sizes.append(len(frame)) or predict(self, frame))
    monkeypatch.setattr(Models, "_load", lambda self, found: loads.append(found.version) or load(self, found))
    bank.work()
    assert (sizes, loads) == ([8], [1])
    together = [outcome_of(bank, number) for number in range(1, 9)]
    for number, name in enumerate("abcdefgh"):
        bank.post(100 + number, 20 + 5 * number, name)
        bank.work()
    alone = [outcome_of(bank, number) for number in range(9, 17)]
    assert sizes == [8] + [1] * 8
    assert {each.pop("cost")["together"] for each in together} == {8}  # what it took is that of all
    assert {each.pop("cost")["together"] for each in alone} == {1}
    assert alone == together
    assert loads == [1]


def test_an_alias_that_moves_while_a_run_waits_is_followed(engine: Engine, shelf: Shelf) -> None:
    shelf.churn()
    bank = FlowBank(engine)
    bank.add_flow(LEAVING)
    bank.post(1, 30)
    run_flows(bank.engine, clock=lambda: bank.now)  # its facts are read; it asks at the next turn
    assert bank.states()[0][1:] == ("queued", "churn")
    shelf.log("churn", Odd(), signature_of())
    bank.work()
    outcome = outcome_of(bank, 1)
    assert (outcome["model"]["version"], outcome["values"]) == (2, {"probability": "0.25"})
    shelf.point("churn", "champion", 1)
    bank.post(2, 30)
    bank.work()
    assert outcome_of(bank, 2)["model"]["version"] == 1
    assert [replay_record(bank.context, f"f:{number}").same for number in (1, 2)] == [True, True]


def test_an_alias_that_moves_to_another_signature_fails_in_sight(engine: Engine, shelf: Shelf) -> None:
    shelf.churn()
    bank = FlowBank(engine)
    bank.add_flow(LEAVING)
    bank.post(1, 30)
    run_flows(bank.engine, clock=lambda: bank.now)
    shelf.log("churn", Odd(), signature_of(age=("double", True), wage=("double", True)))
    bank.work()
    assert bank.states() == [("transaction:t1", "ended", "unknown")]
    why = view_run(bank.context, 1).why
    assert why is not None
    assert (
        "the step does not fit version 2, to which champion points: sends income, which is not one of its columns; it "
        "takes age, wage"
    ) in why["steps"][0]["outcome"]


def test_a_model_that_was_deleted_answers_nobody(engine: Engine, shelf: Shelf) -> None:
    shelf.churn()
    bank = FlowBank(engine)
    bank.add_flow(LEAVING.replace("    on_unknown: unknown\n", "").replace("to: likely", "to: unknown"))
    bank.post(1, 30)
    run_flows(bank.engine, clock=lambda: bank.now)
    shelf.delete("churn")
    bank.work()
    assert bank.states() == [("transaction:t1", "failed", "churn")]
    assert "there is no model churn in the registry" in (bank.runs()[0].error or "")
    assert [each.action for each in bank.actions()] == ["look"]


@pytest.mark.postgresql
def test_a_worker_that_dies_after_the_outcome_is_followed_by_one_that_takes_it(
    engine: Engine, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.churn()
    bank = FlowBank(engine)
    bank.add_flow(LEAVING)
    bank.post(1, 30)
    run_flows(bank.engine, clock=lambda: bank.now)
    real: Callable[..., Any] = asking._store

    def dies(*given: Any) -> None:
        real(*given)
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr(asking, "_store", dies)
        with pytest.raises(DiedError):
            bank.work()
    before = outcome_of(bank, 1)
    shelf.log("churn", Adds(), signature_of())
    bank.now += LEASE_US + 1
    bank.work()
    assert outcome_of(bank, 1) == before
    assert bank.states()[0][1] == "ended"
    assert bank.count("flow_steps") == 1
    assert StepOutcome.__tablename__ == "flow_steps"


# Committing and activating.


MODEL: Data = {
    "name": "churn",
    "alias": "champion",
    "send": {"age": {"sum": "amount"}, "income": {"field": "income"}},
    "gives": {"probability": "number"},
}
BY: Data = {
    "id": "by",
    "title": "By it",
    "rationale": "R.",
    "route": [{"when": {"step": "churn", "output": "probability", "at_least": 0.5}, "to": "done"}],
    "otherwise": "nothing",
}
EXAMPLES: list[Data] = [
    {"name": "likely", "given": {}, "outcomes": {"churn": {"probability": 0.75}}, "ends": "done"},
    {"name": "not", "given": {}, "outcomes": {"churn": {"probability": 0.25}}, "ends": "nothing"},
    {"name": "failed", "given": {}, "outcomes": {"churn": "failed"}, "ends": "done"},
]


def document(**parts: Any) -> str:
    step = {"id": "churn", "title": "C", "rationale": "R.", "model": {**MODEL, **parts}, "on_unknown": "done"}
    fields = {"country": "country", "income": "number"}
    return flow_document("leaving", [step, BY], examples=EXAMPLES, fields=fields)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"name": "churm"}, "there is no model churm that may be asked; there are churn; perhaps churn was meant"),
        ({"alias": "best"}, "the model churn has no alias best; its aliases are champion"),
        (
            {"send": {"age": {"sum": "amount"}, "incom": {"field": "income"}}},
            "as it sends incom, which is not one of its columns; it takes age, income; perhaps",
        ),
        ({"send": {"income": {"field": "income"}}}, "does not send age, which it requires"),
        ({"send": {"age": {"field": "country"}}}, "sends a text as age, which is double"),
        ({"outputs": {"probability": 1}}, "takes number 1 as probability; it gives 1, the first is number 0"),
        ({"outputs": {"chance": 0}}, "chance is nothing that the step gives; it gives probability"),
        (
            {"purpose": "both"},
            "says that what the model learnt from is for both; the model churn is registered for aml",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_no_version(desk: Desk, shelf: Shelf, parts: Data, problem: str) -> None:
    shelf.churn()
    with pytest.raises(InvalidRulesetError) as refused:
        committed(desk, document(**parts))
    assert problem in str(refused.value)


def test_a_flow_that_asks_a_model_acts_as_long_as_the_model_is_there(desk: Desk, shelf: Shelf, tmp_path: Path) -> None:
    shelf.churn()
    acting(desk, document())
    made = committed(desk, document(purpose="aml", send={"age": {"field": "income"}}))
    refuse_unregistered(desk.bank.engine, read_settings())
    shelf.delete("churn")
    with pytest.raises(ConflictError, match=r"cannot run now: step churn, model: there is no model churn in"):
        activate_flow(as_(desk, desk.ben), "leaving", made.number, WHY)
    (tmp_path / "sources.yaml").write_text("organisations: {}")
    with pytest.raises(ConfigError, match="step churn, model: there is no model churn that may be asked; there are"):
        refuse_unregistered(desk.bank.engine, read_settings())


def test_a_registration_names_models_that_are_there(shelf: Shelf, tmp_path: Path) -> None:
    from fivefold.usecases.flows.outside import outside_of

    written = {"organisations": {"bank": {"models": ["chrun"]}}, "models": {"churn": {"title": "C"}}}
    (tmp_path / "sources.yaml").write_text(json.dumps(written))
    with pytest.raises(ConfigError, match="may ask the model chrun, which is not under models; there are churn"):
        outside_of(read_settings(), "bank")
