"""Drafts: the same text with other numbers."""

import json
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.drafts import LAST
from fivefold.risk.governance.thresholds import draft as thresholds_draft
from fivefold.risk.governance.thresholds.cuts import present_cuts
from fivefold.risk.governance.thresholds.draft import FIRST, draft_text
from fivefold.risk.governance.thresholds.propose import propose_thresholds
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.governance.making import AS_OF, TEXT, TIERED_TEXT, WEIGHTED_TEXT, analysed, mixed, ruleset

BLOCK = TEXT.replace(
    "  points: {thresholds: [20, 40, 60]}   # a total of 20 is medium",
    "  points:\n    thresholds:\n      - 20 # first\n      - 40.0\n\n      - 60",
)
JSON = json.dumps(json.loads(ruleset().canonical), indent="\t")
SHARES = st.lists(st.integers(1, 9), min_size=4, max_size=4).map(lambda parts: [part / sum(parts) for part in parts])


@settings(max_examples=examples(40), deadline=None)
@given(st.sampled_from([TEXT, BLOCK, TIERED_TEXT, WEIGHTED_TEXT]), SHARES)
def test_nothing_but_the_thresholds_differs(text: str, shares: list[float]) -> None:
    before = ruleset(text)
    proposal = propose_thresholds(assess(AnalysedRuleset(before), mixed(1000), AS_OF), shares)
    made = draft_text(text, before, proposal)
    after = read_ruleset(made)
    assert [cut / 100 for cut in present_cuts(after).units] == [float(value) for value in proposal.values]
    assert all(change.where.startswith("score, ") for change in diff(before, after).changes)
    body = made[made.index(f"# {LAST}\n") + len(LAST) + 3 :].splitlines()
    changed = [pair for pair in zip(text.splitlines(), body, strict=True) if pair[0] != pair[1]]
    assert all("title" in old or "thresholds" in old or "bands" in old or "- " in old for old, _ in changed)
    assert "# Ours; remarks must survive." in body


def test_the_reasons_stand_above_it() -> None:
    proposal = propose_thresholds(assess(analysed(), mixed(1000), AS_OF))
    made = draft_text(TEXT, ruleset(), proposal)
    assert made.startswith(f"# {FIRST}\n# Made from retail {ruleset().content_hash}, as of 2024-07-01.\n")
    assert "# 800 entities were assessed in full; left out: 100 failed, 100 not applicable.\n" in made
    assert f"# low: {100 * proposal.levels[0].present:.1f} % of them now" in made
    assert "the next shares that can be reached are" in made
    assert "\n# 1 entity would be in another level" in draft_text(TEXT, ruleset(), replace(proposal, moved=1))


def test_the_reasons_of_last_quarter_are_replaced() -> None:
    proposal = propose_thresholds(assess(analysed(), mixed(1000), AS_OF))
    once = draft_text(TEXT, ruleset(), proposal)
    again = read_ruleset(once)
    twice = draft_text(once, again, propose_thresholds(assess(AnalysedRuleset(again), mixed(1000), AS_OF)))
    assert twice.count(FIRST) == 1
    assert twice.count("# Ours; remarks must survive.") == 1


def test_tiers_stay_without_gaps() -> None:
    before = ruleset(TIERED_TEXT)
    made = draft_text(
        TIERED_TEXT,
        before,
        propose_thresholds(assess(AnalysedRuleset(before), mixed(1000), AS_OF), [0.3, 0.3, 0.2, 0.2]),
    )
    tiers = read_ruleset(made).score.tiers  # type: ignore[union-attr]  # it has tiers
    for lower, upper in pairwise(tiers):
        assert upper.min - lower.max == Decimal("0.01")
    assert (tiers[0].min, tiers[-1].max) == (-50, 200)


def test_whole_tiers_stay_whole() -> None:
    text = TIERED_TEXT.replace(".99", "").replace("10.5", "10")
    before = ruleset(text)
    made = draft_text(
        text, before, propose_thresholds(assess(AnalysedRuleset(before), mixed(1000), AS_OF), [0.3, 0.3, 0.2, 0.2])
    )
    tiers = read_ruleset(made).score.tiers  # type: ignore[union-attr]  # it has tiers
    assert [upper.min - lower.max for lower, upper in pairwise(tiers)] == [1, 1, 1]


def test_a_proposal_for_something_else_is_refused(refusal: Refusal) -> None:
    proposal = propose_thresholds(assess(analysed(), mixed(1000), AS_OF))
    other = TEXT.replace("rationale: Ours.", "rationale: Theirs.")
    with refusal(ConfigError):
        draft_text(other, ruleset(other), proposal)


def test_a_draft_that_came_out_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    proposal = propose_thresholds(assess(analysed(), mixed(1000), AS_OF))
    for old, new in (("rationale: Ours.", "rationale: Theirs."), ("[20, 40, 60]", "[20, 40, 61]")):
        monkeypatch.setattr(thresholds_draft, "with_numbers", lambda text, _, old=old, new=new: text.replace(old, new))
        with refusal(ConfigError):
            draft_text(TEXT, ruleset(), proposal)


@pytest.mark.parametrize("text", [ruleset().canonical, JSON], ids=["compact", "tabs"])
def test_json_is_changed_in_place_as_well(text: str) -> None:
    proposal = propose_thresholds(assess(analysed(), mixed(1000), AS_OF))
    draft = draft_text(text, ruleset(), proposal)
    assert json.loads(draft), "JSON has no place for the reasons"
    assert present_cuts(read_ruleset(draft)).units == tuple(int(value * 100) for value in proposal.values)
