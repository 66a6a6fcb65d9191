"""Models that are asked: real ones, of a real registry of MLflow."""

import json
from collections.abc import Iterator
from decimal import Decimal
from math import log
from pathlib import Path
from typing import Any

import pytest
from mlflow.models import infer_signature

from fivefold.flows.language import ModelStep
from fivefold.flows.outside.outcomes import OutsideOutcome, read_outcome
from fivefold.flows.outside.question import SentFacts
from fivefold.models.registered.loading import Models
from fivefold.risk.language.fields import ValueType
from fivefold.usecases.flows.models.ask import answers_of_model
from fivefold.usecases.flows.models.permitted import ModelRegistration, ModelsPermitted
from tests.flows.flows_small import END, NOTHING, analysed, document, program
from tests.usecases.flows.models.registering import (
    Adds,
    Odd,
    Shelf,
    booster,
    forest,
    people,
    shelves,
    signature_of,
    table,
    unlike_nan,
)

Data = dict[str, Any]
NOW = 1_800_000_000_000_000
ASKED: Data = {
    "name": "churn",
    "alias": "champion",
    "send": {"age": {"field": "income"}, "income": {"field": "income"}},
    "gives": {"probability": "number"},
}
KINDS = {"age": ValueType.NUMBER, "income": ValueType.NUMBER}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """A registry with both models; only to be read."""
    for shelf in shelves(tmp_path_factory.mktemp("full") / "var"):
        shelf.churn()
        shelf.scored()
        yield shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    yield from shelves(tmp_path / "var")


def step(**parts: Any) -> ModelStep:
    made = analysed(document({"id": "m", "model": {**ASKED, **parts}, "on_unknown": "nothing"}, END, NOTHING))
    found = made.flow.steps[0]
    assert isinstance(found, ModelStep)
    return found


def facts(kinds: Data | None = None, **values: Any) -> SentFacts:
    return SentFacts(values=values, why=(), kinds=kinds or KINDS)


def asks(shelf: Shelf, sent: list[SentFacts], **parts: Any) -> list[OutsideOutcome]:
    own = step(**parts)
    permitted = ModelsPermitted({own.model.name: ModelRegistration(title="M", purpose="aml")}, shelf.settings)
    return answers_of_model(permitted, own, sent, lambda: NOW)


PEOPLE = [facts(**person) for person in people()]


def test_a_model_of_trees_gives_what_it_gives_and_why(full: Shelf) -> None:
    outcomes = asks(full, PEOPLE[:20])
    expected = booster().predict(table()[:20])
    for outcome, value in zip(outcomes, expected, strict=True):
        assert outcome.failed is None
        assert outcome.values == {"probability": Decimal(f"{value:.12g}")}
        model = outcome.model
        assert model is not None
        assert (model.name, model.alias, model.version, len(model.digest)) == ("churn", "champion", 1, 64)
        why = model.contributions
        assert why is not None
        assert why.base + sum(number for _, number in why.added) + why.rest == why.total
        assert why.scale == "log-odds"
        odds = float(outcome.values["probability"]) / (1 - float(outcome.values["probability"]))
        assert float(why.total) == pytest.approx(log(odds), abs=1e-5)
        assert {column for column, _ in why.added} <= {"age", "income"}
    assert outcomes[0].source == "model churn version 1 (champion)"
    made = program(document({"id": "m", "model": ASKED, "on_unknown": "nothing"}, END, NOTHING))
    assert read_outcome(json.loads(outcomes[0].canonical), made.steps[0].outputs) == outcomes[0]


def test_a_model_without_trees_says_that_it_has_no_explanation(full: Shelf) -> None:
    [outcome] = asks(full, [facts(age=Decimal(40), income=Decimal(100))], name="scored", outputs={"probability": 1})
    assert outcome.model is not None
    assert outcome.failed is None
    assert outcome.model.words == "no explanation is available, as it is not a model of trees"
    assert 0 < outcome.values["probability"] < 1


def test_other_trees_are_explained_too(shelf: Shelf) -> None:
    everyone = table().fillna(0)
    given = forest().predict_proba(everyone)
    trusted = {"skops_trusted_types": ["sklearn.tree._tree.Tree"]}
    signature = infer_signature(everyone, given)
    shelf.log("forest", forest(), signature, pyfunc_predict_fn="predict_proba", **trusted)
    rows = [facts(age=Decimal(str(age)), income=Decimal(str(income))) for age, income in everyone[:30].to_numpy()]
    for outcome, value in zip(asks(shelf, rows, name="forest", outputs={"probability": 1}), given[:30, 1], strict=True):
        assert outcome.model is not None
        why = outcome.model.contributions
        assert why is not None
        assert (why.scale, float(why.total)) == ("", pytest.approx(value, abs=1e-5))


@pytest.mark.parametrize(("name", "parts"), [("churn", {}), ("scored", {"outputs": {"probability": 1}})])
def test_a_thousand_at_once_are_as_one_by_one(full: Shelf, name: str, parts: Data) -> None:
    known = [each for each in PEOPLE if None not in each.values.values()]
    thousand = (known * 3)[:1_000]
    together = asks(full, thousand, name=name, **parts)
    assert all(each.failed is None for each in together)
    assert together[:40] == [asks(full, [each], name=name, **parts)[0] for each in thousand[:40]]


def test_what_is_unknown_is_no_0(full: Shelf) -> None:
    known, without_income, without_age = (
        facts(age=Decimal(50), income=Decimal(0)), facts(age=Decimal(50), income=None), facts(age=None, income=None)
    )  # fmt: skip
    first, second, third = asks(full, [known, without_income, without_age])
    assert float(second.values["probability"]) == pytest.approx(unlike_nan())
    assert first.values != second.values
    assert third.failed == "not asked, as age is unknown"


def test_a_whole_number_is_sent_as_one_or_not_at_all(shelf: Shelf) -> None:
    shelf.log("churn", Adds(), signature_of(age=("long", True), income=("double", False)))
    whole, half, beyond = asks(shelf, [facts(age=Decimal(text), income=None) for text in ("3", "3.5", "1e30")])
    assert whole.values == {"probability": Decimal(3)}
    assert half.failed == "not asked, as age is 3.5, and the model takes whole numbers (long)"
    assert beyond.failed is not None


def test_what_a_model_does_wrong_fails_alone_and_holds_up_no_other(shelf: Shelf) -> None:
    shelf.log("churn", Odd(), signature_of())
    outcomes = asks(shelf, [facts(age=Decimal(age), income=None) for age in range(8)])
    assert [each.failed for each in outcomes] == [
        None,
        "it raised ValueError",
        "it gave 2 × 1 values, where its signature says 1 × 1",
        "it raised SystemExit",
        "it gave NaN as probability",
        "it gave inf as probability",
        None,
        f"it gave 1{'0' * 39} as probability",
    ]
    assert all(each.model is not None and each.model.version == 2 for each in outcomes)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"name": "churm"}, "there is no model churm in the registry"),
        ({"alias": "best"}, "the model churn has no alias best; its aliases are champion"),
        (
            {"send": {"age": {"field": "income"}, "wage": {"field": "income"}}},
            "version 1, to which champion points: sends wage, which is not one of its columns; it takes age, income",
        ),
        (
            {"gives": {"chance": "number", "other": "number"}},
            "the step does not fit version 1, to which champion points: takes chance of it; it gives probability",
        ),
        ({"gives": {"probability": "flag"}}, "takes probability as flag, which it gives as double"),
    ],
)
def test_what_is_not_there_or_does_not_fit_fails_with_the_reason(full: Shelf, parts: Data, reason: str) -> None:
    kinds = dict.fromkeys(parts.get("send", KINDS), ValueType.NUMBER)
    [outcome] = asks(full, [facts(kinds, age=Decimal(1), income=Decimal(1), wage=Decimal(1))], **parts)
    assert outcome.failed is not None
    assert reason in outcome.failed
    assert outcome.values == {}


def test_a_model_that_nobody_allowed_is_not_asked(full: Shelf) -> None:
    own = step()
    sent = [facts(age=Decimal(1), income=None)]
    [outcome] = answers_of_model(ModelsPermitted({}, full.settings), own, sent, lambda: NOW)
    assert outcome.failed == "there is no model churn that may be asked; there are none"
    other = {"churn": ModelRegistration(title="C", purpose="aml")}
    both = step(purpose="both")
    [outcome] = answers_of_model(ModelsPermitted(other, full.settings), both, sent, lambda: NOW)
    assert outcome.failed == "says that what the model learnt from is for both; the model churn is registered for aml"


def test_an_alias_that_moved_is_followed_and_versions_in_memory_are_bounded(shelf: Shelf) -> None:
    models = Models(shelf.settings, most=1)
    shelf.churn()
    first = models.load(models.aliased("churn", "champion"))
    assert models.load(models.aliased("churn", "champion")) is first
    shelf.churn()
    found = models.aliased("churn", "champion")
    assert found.version == 2
    second = models.load(found)
    assert second is not first
    assert second.digest != first.digest
    shelf.point("churn", "champion", 1)
    assert models.load(models.aliased("churn", "champion")) is not first  # it went, as one alone is kept


def test_a_model_that_was_deleted_and_registered_anew_is_another_one(shelf: Shelf) -> None:
    shelf.churn()
    assert asks(shelf, [facts(age=Decimal(60), income=None)])[0].failed is None
    shelf.delete("churn")
    assert asks(shelf, [facts(age=Decimal(60), income=None)])[0].failed == "there is no model churn in the registry"
    shelf.log("churn", Odd(), signature_of())
    assert asks(shelf, [facts(age=Decimal(60), income=None)])[0].values == {"probability": Decimal("0.25")}
