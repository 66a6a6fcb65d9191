"""Those linked have their names in the reasons of a level; what is stored has their numbers, and stays as it was."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from fivefold.serving.v1.permissions import ROUTES
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels.explain import read_reasons
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.portfolio.differences import compare_assessments
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

HOUSEHOLD = {
    "input": {"linked": {"by": "household", "count": "entities"}},
    "cases": [{"when": {"at_least": 1}, "points": 35}],
}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A household of four: one with a whole name, one with its parts, one with a name that is no text, one without."""
    made = Bank(engine)
    fields = {"full_name": "text", "first_name": "text", "last_name": "text", "name_days": "number"}
    define_type(made.context, "customer", fields, links={"household": "shared"})
    made.put("a", full_name="Anna Berg")
    made.put("b", first_name="Bo", last_name=" Holm ")
    made.put("c", name_days=3)
    made.put("d")
    put_links(made.context, "customer", [LinkRow(name, "household", "H1") for name in "abcd"])
    made.activate(banks.document({"home": HOUSEHOLD}, links={"household": {"kind": "shared"}}))
    made.settle()
    return made


def seen(bank: Bank, name: str, number: int = 1) -> str:
    reasons = read_reasons(bank.context, f"{bank.id_of(name)}.{number}")
    assert reasons is not None
    return reasons.rules[0].values[0].value


@pytest.mark.postgresql
def test_reasons_name_those_linked_and_what_is_stored_has_their_numbers(bank: Bank) -> None:
    assert seen(bank, "a") == "3, through household H1: Bo Holm (b), c, d"
    assert seen(bank, "d") == "3, through household H1: Anna Berg (a), Bo Holm (b), c"
    numbers = ", ".join(str(bank.id_of(name)) for name in "bcd")
    assert f"through household H1: {numbers}" in bank.breakdown("a")
    assert replay_assessment(bank.context, f"{bank.id_of('a')}.1").same


def test_a_name_that_changed_is_no_difference_between_two_assessments(bank: Bank) -> None:
    bank.wait(1)
    put_links(bank.context, "customer", [LinkRow("d", "household", "H1", None, bank.now)])
    bank.settle()
    bank.put("b", first_name="Bodil", last_name="Holm")
    assert seen(bank, "a", 2) == "2, through household H1: Bodil Holm (b), c"
    found = compare_assessments(bank.context, f"{bank.id_of('a')}.2")
    assert found.factors is not None
    (change,) = found.factors
    assert [each.values[0].value.partition(": ")[2] for each in (change.earlier, change.later) if each] == [
        "Bodil Holm (b), c, d",
        "Bodil Holm (b), c",
    ]


def test_who_was_erased_has_a_number_alone(bank: Bank, tmp_path: Path) -> None:
    number = bank.id_of("b")
    bank.wait(2000)
    erase_entity(bank.context, "customer", "b", tmp_path / "register")
    assert seen(bank, "a") == f"3, through household H1: {number}, c, d"


def test_whoever_reads_reasons_reads_the_entities_too() -> None:
    allowed = {(route.method, route.path): route.roles for route in ROUTES}
    of_entity = allowed["GET", "/v1/entities/{type}/{external_id}"]
    for path in ("/v1/assessments/{assessment}", "/v1/assessments/{assessment}/difference"):
        assert allowed["GET", path] <= of_entity
