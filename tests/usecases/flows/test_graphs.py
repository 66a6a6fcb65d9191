"""A graph of JDM that was sent becomes the text of a flow with the levels of its organisation; nothing is stored."""

import json
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.flows.language import read_flow
from fivefold.risk.language.fields import OneOf
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.review import check_flow
from fivefold.usecases.flows.table_files import GraphSent, GraphTaken, import_flow_graph
from tests.flows.foreign.graphs import INPUT, OUTPUT, Data, graph, node, table
from tests.usecases.flows.flowing import FlowBank

ROWS = [({"customer.country": "'IR'"}, {"amount": "0"}), ({}, {"amount": "500"})]
AMOUNT = table("amount", ["customer.country"], ["amount"], ROWS)


def imported(bank: FlowBank, *between: Data, **more: Any) -> GraphTaken:
    """Import a graph of one way through some nodes; nothing is stored by that."""
    names = ["in", *(each["id"] for each in between), "out"]
    content = json.dumps(graph([INPUT, *between, OUTPUT], [*pairwise(names)])).encode()
    said: dict[str, Any] = {"entity_type": "customer", "names": {"customer.country": "country"}, **more}
    stored = [bank.count(name) for name in ("flows", "audit_entries")]
    try:
        return import_flow_graph(
            bank.context, GraphSent(**{"name": "g.json", "flow": "drawn", "content": content, **said})
        )
    finally:
        assert [bank.count(name) for name in ("flows", "audit_entries")] == stored


@pytest.fixture
def bank(engine: Engine) -> FlowBank:
    return FlowBank(engine)


def test_the_text_has_the_levels_of_the_organisation_and_passes_its_check(bank: FlowBank) -> None:
    made = imported(bank, AMOUNT)
    flow = read_flow(made.document, "the text")
    checked = check_flow(bank.context, made.document)
    assert (flow.name, flow.content_hash, len(flow.steps)) == ("drawn", made.content_hash, made.steps)
    assert made.inputs == {"customer.country": "country"}
    assert not [each for each in checked.errors if each.where in {"levels", "entity_type", "fields"}]
    assert any("JDM answers values" in note for note in made.notes)


def test_a_field_is_declared_as_the_entity_type_has_it(bank: FlowBank) -> None:
    fields = {"country": "country", "grade": {"one_of": ["500", "600"]}, "amount": "number"}
    define_type(bank.context, "shop", fields, {})
    rows = [({"c": "'IR'", "g": "'500'", "a": "> 5"}, {"amount": "0"}), ({}, {"amount": "500"})]
    names = {"c": "country", "g": "grade", "a": "amount"}
    made = imported(bank, table("amount", [*names], ["amount"], rows), entity_type="shop", names=names)
    declared = read_flow(made.document, "the text").fields
    assert {name: declared[name] for name in fields} == {**fields, "grade": OneOf(one_of=("500", "600"))}
    assert not [each for each in check_flow(bank.context, made.document).errors if each.where == "fields"]


def test_all_that_flows_cannot_say_is_refused_at_once(bank: FlowBank) -> None:
    with pytest.raises(InvalidRulesetError) as refused:
        imported(bank, node("f", "functionNode"), AMOUNT, kinds={"nothing": "text"})
    found = {each.where: each.problem for each in refused.value.findings}
    assert "flows have no functions in JavaScript" in found["node f"]
    assert "names nothing, which the graph does not read" in found["kinds"]


def test_an_input_of_which_nothing_says_what_it_is_is_asked_for_by_the_word_of_the_page(bank: FlowBank) -> None:
    bare = table("amount", ["n"], ["amount"], [({"n": "null"}, {"amount": "0"}), ({}, {"amount": "5"})])
    with pytest.raises(InvalidRulesetError, match="say kinds n=text"):
        imported(bank, bare, names={})
    assert imported(bank, bare, names={}, kinds={"n": "text"}).inputs == {"n": "n"}


@pytest.mark.parametrize(
    ("more", "error", "problem"),
    [
        ({"entity_type": "ship"}, InvalidRulesetError, "is ship; the types of entities are"),
        ({"flow": "No name!"}, InvalidRulesetError, "flow"),
        ({"content": b""}, ConfigError, "g.json is empty"),
        ({"content": b"{}"}, ConfigError, "g.json"),
    ],
)
def test_what_is_no_graph_or_no_flow_of_the_organisation_is_refused(
    bank: FlowBank, more: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        imported(bank, AMOUNT, **more)
