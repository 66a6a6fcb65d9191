"""Examples of flows say whom an entity is linked to, as examples of rulesets do."""

import pytest

from fivefold.domain.errors import InvalidRulesetError
from fivefold.flows.analysis import analyse_flow
from fivefold.flows.examples import run_flow_examples
from fivefold.flows.governance.mutation import mutate_flow
from fivefold.risk.governance.mutation.run import MutantVerdict

NOW = 1_740_787_200_000_000
FLOW = """
flow: household
title: What a household has
entity_type: customer
fields: {income: number}
levels: [low, medium, high]
links:
  household: {kind: shared}
  owns: {kind: directed, complete: true}
actions: [{id: look, title: Look, review: 1 day}]
steps:
  - id: rich
    title: Whether the household is rich
    route:
      - {when: {linked: {by: household, itself: true, sum: {field: income}}, above: 100}, to: seen}
      - {when: {linked: {by: owns, way: to, count: entities, where: {tag: fraud, is: present}}, at_least: 1}, to: seen}
    otherwise: nothing
    on_unknown: unknown
  - {id: nothing, title: Nothing, end: []}
  - {id: unknown, title: Not known, end: []}
  - {id: seen, title: Seen, end: [look]}
on_failure: [look]
examples:
  - name: Rich together
    given: {income: 60, links: {household: [{income: 41}], owns: {to: []}}}
    ends: seen
  - name: Not rich together
    given: {income: 60, links: {household: [{income: 40}], owns: {to: [{income: 1, tags: []}]}}}
    ends: nothing
  - name: Owns what is tagged
    given: {income: 1, links: {household: [], owns: {to: [{income: 1, tags: [fraud]}]}}}
    ends: seen
  - name: Somebody's income is not known
    given: {income: 60, links: {household: [{}], owns: {to: []}}}
    ends: unknown
"""


def test_whom_an_example_is_linked_to_is_read() -> None:
    results = run_flow_examples(analyse_flow(FLOW), {}, NOW)
    assert [result.differences for result in results.results] == [(), (), (), ()]
    assert results.passed


def test_changes_of_what_is_linked_are_noticed() -> None:
    tried = mutate_flow(analyse_flow(FLOW), {}, NOW)
    noticed = {f"{each.where}: {each.before} → {each.after}" for each in tried.of(MutantVerdict.NOTICED)}
    assert "step rich, way 1, when, above: 100 → 101" in noticed


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("links: {household: [{income: 41}]", "links: {houshold: [{income: 41}]", "there are household, owns"),
        (
            "links: {household: [{income: 41}]",
            "links: {household: [{incom: 41}]",
            "household: gives incom, which is not a field",
        ),
        ("links: {household: [{income: 41}]", "links: {household: {to: []}", "must be a list of entities"),
        ("owns: {to: []}}}\n    ends: seen", "owns: []}}\n    ends: seen", "with a list of entities after each"),
    ],
)
def test_links_that_cannot_be_read_are_named(before: str, after: str, said: str) -> None:
    assert before in FLOW
    with pytest.raises(InvalidRulesetError, match=said):
        run_flow_examples(analyse_flow(FLOW.replace(before, after, 1)), {}, NOW)
