"""Single columns that tell too much."""

import numpy as np
import polars as pl

from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.validate.labels import columns_alone, singles
from fivefold.risk.governance.validate.ranking import auc
from tests.risk.governance.making import AS_OF, analysed, mixed, portfolio


def test_a_column_made_of_the_label_is_suspected() -> None:
    confirmed = np.arange(100) % 5 == 0
    people = portfolio([{"income": "5000" if mark else str(number)} for number, mark in enumerate(confirmed)])
    found = assess(analysed(), people, AS_OF)
    total = found.outcomes["total"].to_numpy()
    best, *others = singles(found, total, np.ones(100, dtype=bool), confirmed, 0, 50)
    assert (best.column, best.auc, best.suspected) == ("income", 1.0, True)
    assert best.paired is not None
    assert best.paired.second == 1.0
    assert not any(single.suspected for single in others)


def test_whether_something_is_known_can_be_a_leak_as_well() -> None:
    confirmed = np.arange(60) % 3 == 0
    people = portfolio([{"country": None if mark else "ZW"} for mark in confirmed])
    found = assess(analysed(), people, AS_OF)
    made = singles(found, found.outcomes["total"].to_numpy(), np.ones(60, dtype=bool), confirmed, 0, 50)
    assert {single.column for single in made if single.suspected} == {"country is known", "country is ZW"}


def test_a_low_value_may_mean_risk() -> None:
    confirmed = np.arange(100) < 50
    found = assess(analysed(), portfolio([{"income": str(number)} for number in range(100)]), AS_OF)
    made = singles(found, found.outcomes["total"].to_numpy(), np.ones(100, dtype=bool), confirmed, 0, 50)
    assert made[0].column == "income"
    assert made[0].auc == 1.0


def test_every_kind_of_column_becomes_numbers() -> None:
    inputs = pl.DataFrame(
        {
            "number": [1.5, None],
            "flag": [True, False],
            "moment": [1, 2],
            "words": [["a", "b"], None],
            "word": ["a", "c"],
            "left out": [1, 1],
        },
        schema_overrides={"words": pl.List(pl.String)},
    )
    names = {name: name.upper() for name in ("number", "flag", "moment", "words", "word")}
    found = {name: values.tolist() for name, values in columns_alone(inputs, names)}
    assert found["NUMBER"] == [1.5, -np.inf]
    assert found["NUMBER is known"] == [1, 0]
    assert found["FLAG"] == [1, 0]
    assert (found["WORDS is a"], found["WORDS is known"]) == ([1, 0], [1, 0])
    assert found["WORD is c"] == [0, 1]
    assert not any("LEFT" in name for name in found)


def test_only_who_is_held_counts() -> None:
    found = assess(analysed(), mixed(40), AS_OF)
    held = (found.outcomes["status"] == "assessed").to_numpy()
    confirmed = np.arange(40) % 3 == 0
    for single in singles(found, found.outcomes["total"].to_numpy()[held], held, confirmed, 0, 50):
        assert 0.5 <= single.auc <= 1
        assert single.paired is not None
        assert abs(single.paired.second - (2 * single.auc - 1)) < 1e-12
    assert auc(np.array([0, 1]), np.array([False, True])) == 1
