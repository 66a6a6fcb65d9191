"""Tuning: points follow the odds in the rule's direction, and nothing is learnt from those who are judged."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from benchmarks.rulesets.tuning import only, tune, without, written
from fivefold.domain.errors import ConfigError
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.governance.validate.ranking import Marks
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset

TEXT = """\
# A comment that stays.
ruleset: tuned
entity_type: customer
fields: {risky: number, safe: number, noise: number}
levels: [low, medium, high, critical]
score:
  points: {thresholds: [1, 2, 3]}
max_recompute_interval: 30 days
rules:
  - id: risky
    title: More is worse
    category: other
    input: {field: risky}
    cases:
      - {when: {at_least: 3}, points: 6}
      - {when: {at_least: 2}, points: 4}
      - {when: {at_least: 1}, points: 2}
    on_unknown: {points: 3}
  - id: safe
    title: More is better
    category: other
    input: {field: safe}
    cases:
      - {when: {at_least: 2}, points: -2}
      - {when: {at_least: 1}, points: -1}
  - id: noise
    title: More is worse, we were told
    category: other
    input: {field: noise}
    cases:
      - {when: {at_least: 1}, points: 1}
"""
COUNT = 2_000


@pytest.fixture(scope="module")
def found() -> Assessments:
    random = np.random.default_rng(1)
    columns = {name: random.integers(0, 4, COUNT).astype(float) for name in ("risky", "safe", "noise")}
    columns["risky"][:100] = np.nan
    entities = pl.DataFrame({"entity_id": [str(number) for number in range(COUNT)], **columns})
    return assess(AnalysedRuleset(read_ruleset(TEXT)), Portfolio(entities, base_only("EUR", date(2026, 1, 1))), 0)


@pytest.fixture(scope="module")
def confirmed(found: Assessments) -> Marks:
    """Odds double with each step of risky, halve with each of safe, and fall with noise, against its direction."""
    risky, safe, noise = (found.inputs[f'{{"field":"{name}"}}'].to_numpy() for name in ("risky", "safe", "noise"))
    margin = np.log(2) * (np.nan_to_num(risky, nan=1.5) - np.minimum(safe, 2) - 0.5 * (noise > 0)) - 1
    made: Marks = np.random.default_rng(2).random(COUNT) < 1 / (1 + np.exp(-margin))
    return made


@pytest.fixture(scope="module")
def held() -> Marks:
    made: Marks = np.arange(COUNT) % 2 == 0
    return made


@pytest.fixture(scope="module")
def tuned(found: Assessments, held: Marks, confirmed: Marks) -> Ruleset:
    return tune(found, held, confirmed, 0)


def points_of(ruleset: Ruleset, rule: str) -> list[int]:
    return [int(case.points or 0) for case in ruleset.rule(rule).cases]


def test_points_follow_the_odds(tuned: Ruleset) -> None:
    """20 points double the odds, less what the penalty holds back."""
    most, middle, least = points_of(tuned, "risky")
    assert most > middle > least > 0
    assert 15 <= most <= 65
    strong, weak = points_of(tuned, "safe")
    assert strong < weak < 0
    assert -45 <= strong <= -15


def test_no_step_goes_against_its_rule(tuned: Ruleset) -> None:
    assert points_of(tuned, "noise") == [0]


def test_the_unknown_have_points_of_their_own(tuned: Ruleset) -> None:
    outcome = tuned.rule("risky").on_unknown
    assert outcome is not None
    assert 0 < int(outcome.points or 0) < points_of(tuned, "risky")[0]


def test_nothing_is_learnt_from_the_judged(tuned: Ruleset, found: Assessments, held: Marks, confirmed: Marks) -> None:
    turned = np.where(held, confirmed, ~confirmed)
    assert tune(found, held, turned, 0).canonical == tuned.canonical
    other = np.where(held, ~confirmed, confirmed)
    assert tune(found, held, other, 0).canonical != tuned.canonical


def test_levels_have_the_shares_that_are_asked_for(tuned: Ruleset, found: Assessments, held: Marks) -> None:
    entities = found.inputs.rename({f'{{"field":"{name}"}}': name for name in ("risky", "safe", "noise")})
    again = assess(AnalysedRuleset(tuned), Portfolio(entities.drop("as_of"), base_only("EUR", date(2026, 1, 1))), 0)
    shares = [float((again.outcomes["level"].to_numpy()[held] >= level).mean()) for level in (2, 3, 4)]
    assert shares[0] == pytest.approx(0.35, abs=0.1)
    assert shares[1] == pytest.approx(0.125, abs=0.08)
    assert shares == sorted(shares, reverse=True)


def test_points_are_put_into_the_text_and_the_rest_of_it_stays(tuned: Ruleset) -> None:
    made = written(TEXT, tuned)
    assert read_ruleset(made).canonical == tuned.canonical
    assert made.startswith("# A comment that stays.\n")
    assert len(made.splitlines()) == len(TEXT.splitlines())


def test_the_text_of_another_ruleset_is_refused(tuned: Ruleset) -> None:
    with pytest.raises(ConfigError, match="cannot be changed in this text"):
        written(TEXT.replace("More is better", "Less is worse"), tuned)


def test_rules_are_taken_out_of_the_canonical_form_as_well(tuned: Ruleset) -> None:
    assert "noise" in tuned.canonical
    assert [rule.id for rule in read_ruleset(without(tuned, ["noise"]).canonical).rules] == ["risky", "safe"]
    assert [rule.id for rule in read_ruleset(only(tuned, ["safe"]).canonical).rules] == ["safe"]
