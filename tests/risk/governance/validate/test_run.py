"""Validations of a small portfolio whose labels are known."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from fivefold.domain.errors import InvalidRulesetError, NotEnoughDataError
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.governance.reports.validation import sections
from fivefold.risk.governance.validate.ranking import rank
from fivefold.risk.governance.validate.run import Validation, ValidationOptions, validate
from fivefold.risk.governance.validate.verdicts import VerdictAnswer
from tests.risk.conftest import Refusal
from tests.risk.governance.making import AS_OF, DAY, TEXT, analysed, mixed, ruleset

SIZE = 600


def found(text: str = TEXT, size: int = SIZE) -> Assessments:
    return assess(analysed(text), mixed(size), AS_OF)


def labels(size: int = SIZE, at: date | None = date(2024, 9, 1)) -> pl.DataFrame:
    """Most of those in high levels, a few others, and some who failed or to whom the ruleset does not apply."""
    names = [f"e{number:04d}" for number in range(size)]
    hit = [number % 10 in {3, 4} or number % 50 in {0, 7, 8} for number in range(size)]
    return pl.DataFrame({"entity_id": names, "confirmed": hit}).with_columns(at=pl.lit(at, pl.Date))


def validated(**changes: Any) -> Validation:
    return validate(found(), labels(), ValidationOptions(resamples=200, **changes))


def test_everyone_is_counted() -> None:
    who = validated().population
    assert (who.entities, who.not_applicable, who.known) == (600, 60, 0)
    assert (who.judged, who.ranked, who.failed) == (540, 480, 60)
    assert who.confirmed == 120 + 12 + 12  # the confirmed to whom it does not apply are not judged
    assert (who.ranked_confirmed, who.failed_confirmed) == (132, 12)


def test_the_ranking_is_that_of_the_totals() -> None:
    side, made = found(), validated()
    full = (side.outcomes["status"] == "assessed").to_numpy()
    marks = labels()["confirmed"].to_numpy()[full]
    assert made.ranking is not None
    totals = side.outcomes["total"].to_numpy()[full]
    assert made.ranking.auc.estimate == pytest.approx(roc_auc_score(marks, totals), abs=1e-9)
    assert made.ranking == rank(totals, marks, 0, 200)
    assert made.ranking.gini.low < made.ranking.gini.estimate < made.ranking.gini.high


def test_a_ruleset_of_floors_alone_ranks_by_its_levels() -> None:
    text = (
        TEXT.replace("points: 45, ", "").replace("points: 25", "floor: medium").replace("on_unknown: {points: 10}", "")
    )
    floors = text.replace("{when: {at_least: 1000}, points: 20}", "{when: {at_least: 1000}, floor: critical}")
    floors = floors.replace("points: 10.5", "floor: medium").replace("    otherwise: {points: -5}\n", "")
    side = found(floors)
    made = validate(side, labels(), ValidationOptions(resamples=200))
    full = (side.outcomes["status"] == "assessed").to_numpy()
    marks, levels = labels()["confirmed"].to_numpy()[full], side.outcomes["computed"].cast(pl.Int64).to_numpy()[full]
    assert made.ranking is not None
    assert made.level_ranking == rank(levels, marks, 0, 200)
    assert made.ranking.gini.estimate == 0.0
    assert made.level_ranking.gini.low > 0.3


def test_a_failed_entity_counts_as_missed_and_is_named() -> None:
    made = validated()
    assert made.capture is not None
    assert made.capture.captured.estimate == pytest.approx(120 / 144)
    assert made.capture.missed.estimate == pytest.approx(24 / 144)
    assert (made.levels[-1].level, made.levels[-1].entities, made.levels[-1].confirmed) == ("(no level)", 60, 12)
    assert made.failures[0].entity == "e0008"
    assert any("60 entities could not be assessed in full, 12 of them confirmed" in line for line in made.cautions)


def test_verdicts_follow_from_what_was_measured() -> None:
    answers = {verdict.what: verdict.answer for verdict in validated().verdicts}
    assert answers["Confirmed in high and critical"] == VerdictAnswer.MET
    assert answers["Portfolio in low"] == VerdictAnswer.NOT_MET
    few = validate(found(size=50), labels(50), ValidationOptions(resamples=200))
    assert {verdict.answer for verdict in few.verdicts[:3]} == {VerdictAnswer.TOO_FEW}


def test_who_was_confirmed_before_is_not_predicted_again() -> None:
    made = validate(found(), labels(at=date(2024, 6, 1)), ValidationOptions(resamples=200))
    assert (made.population.known, made.population.confirmed) == (144, 0)
    assert (made.ranking, made.capture, made.additions, made.singles, made.curve) == (None, None, (), (), ())
    assert made.verdicts[0].answer == VerdictAnswer.TOO_FEW
    assert {lift.lift for lift in made.lifts} == {None}


def test_labels_after_the_horizon_do_not_count_yet() -> None:
    made = validate(found(), labels(), ValidationOptions(until=AS_OF + 30 * DAY, resamples=200))
    assert made.population.confirmed == 0
    assert made.population.later == 156
    assert made.horizon == "2024-07-31"


def test_what_the_label_was_made_of_is_refused() -> None:
    with pytest.raises(InvalidRulesetError, match="income is banned"):
        validated(banned=("income",))


def test_doubts_are_told() -> None:
    one = pl.DataFrame({"entity_id": ["nobody"], "confirmed": [True], "at": [date(2024, 9, 1)]})
    undated = labels(at=None)
    back = labels().with_columns(at=pl.lit(date(2025, 3, 1)), confirmed=pl.lit(value=False))
    back = back.filter(labels()["confirmed"]).filter(pl.col("entity_id").is_in(["e0003", "e0013"]))
    cautioned = validate(found(), pl.concat([labels(), back]), ValidationOptions(resamples=200)).cautions
    assert [caution for caution in cautioned if caution.startswith("2 entities were confirmed and later not")]
    made = validate(
        found(), pl.concat([undated, one]), ValidationOptions(undated_are_later=True, made_of=(), resamples=200)
    )
    assert made.population.undated == 156
    assert made.population.strangers == ("nobody",)
    for line, start in zip(
        made.cautions,
        (
            "156 labels have no date",
            "Confirmed, but not in the portfolio",
            "60 entities could not",
            "The labels are said",
        ),
        strict=True,
    ):
        assert line.startswith(start)


def test_a_leak_is_told_first() -> None:
    side = found()
    marks = (side.inputs['{"field":"income"}'] > 1500).fill_null(False)
    leaked = pl.DataFrame(
        {"entity_id": side.outcomes["entity_id"], "confirmed": marks, "at": [date(2024, 9, 1)] * SIZE}
    )
    made = validate(side, leaked, ValidationOptions(resamples=200))
    assert made.cautions[0].startswith("income alone has an AUC of 1.000: it was probably made from the label")


def test_another_ruleset_is_compared_on_whom_both_assess(refusal: Refusal) -> None:
    other = found(TEXT.replace("points: 25", "points: 1"))
    made = validate(found(), labels(), ValidationOptions(resamples=200), other=other)
    assert made.other is not None
    paired = made.other.paired
    assert (made.other.ruleset, made.other.because) == ("retail", "")
    assert (made.other.entities, made.other.confirmed) == (made.population.ranked, made.population.ranked_confirmed)
    assert paired is not None
    assert made.ranking is not None
    assert paired.first == made.ranking.gini.estimate
    assert paired.difference.estimate == pytest.approx(paired.first - paired.second)
    with refusal(NotEnoughDataError):
        validate(found(), labels(), other=found(size=50))


def test_a_ruleset_that_assesses_none_of_the_confirmed_is_not_compared_and_all_else_is_there() -> None:
    other = found()
    marks = labels()["confirmed"].to_numpy()
    failing = other.outcomes.with_columns(
        status=pl.when(pl.Series(marks)).then(pl.lit("failed")).otherwise("status").cast(other.outcomes["status"].dtype)
    )
    made = validate(found(), labels(), ValidationOptions(resamples=100), other=replace(other, outcomes=failing))
    assert made.ranking is not None
    assert made.other is not None
    assert (made.other.entities, made.other.confirmed, made.other.paired) == (348, 0, None)
    assert made.other.because.startswith("it and retail assess 348 entities in full, 0 of them confirmed; a ranking")
    section = next(each for each in sections(made) if each.title == "Beside another ruleset")
    assert section.words == f"Not measured: {made.other.because}."


def test_a_reference_period_gives_drift() -> None:
    made = validate(found(), labels(), ValidationOptions(resamples=200), reference=found(size=800))
    assert {line.sort for line in made.stability} == {"rule", "input", "total", "level"}
    assert validated().stability == ()


def test_every_entity_may_have_its_own_moment() -> None:
    moments = pl.Series([AS_OF + number % 2 * 100 * DAY for number in range(SIZE)])
    side = assess(analysed(), mixed(SIZE), moments)
    made = validate(side, labels(), ValidationOptions(resamples=200))
    assert made.population.known == sum(
        labels()["confirmed"][number] and number % 10 != 7 for number in range(1, SIZE, 2)
    )
    assert " to " in made.as_of


def test_it_is_plain_data() -> None:
    plain = json.loads(json.dumps(validated().to_dict(), allow_nan=False))
    assert plain["verdicts"][0]["answer"] in list(VerdictAnswer)
    assert plain["content_hash"] == ruleset().content_hash
    assert np.isclose(plain["curve"][-1][1], 1)


def test_nobody_who_could_be_judged_is_an_answer_in_words(refusal: Refusal) -> None:
    everyone = labels(at=date(2024, 6, 1)).with_columns(confirmed=pl.lit(True))
    with refusal(NotEnoughDataError):
        validate(found(), everyone, ValidationOptions(resamples=200))
