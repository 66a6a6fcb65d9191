"""What a reference portfolio keeps, and where a number stands among those of peers."""

import json
from fractions import Fraction
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.facts.peers import (
    FEWEST_PEERS,
    MOST_VALUES,
    BuiltFor,
    PeerDistribution,
    Reference,
    distribution_of,
    made_reference,
    read_built_for,
    read_reference,
)
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.peers import Peers

NUMBERS = st.lists(st.sampled_from([None, -3, 0, 0.1, 0.3, 1, 2.5, 10**15]), min_size=1, max_size=60)
COUNT = Peers.model_validate({"of": {"count": "transactions"}, "among": {"field": "segment"}})
INCOME = Peers.model_validate({"of": {"field": "income"}, "among": "everyone"})


def kept(numbers: list[Any]) -> PeerDistribution | None:
    return distribution_of(pl.Series(numbers, dtype=pl.Float64, strict=False))


@given(NUMBERS, st.sampled_from([-4, -3, 0, 0.2, 0.3, 3, 10**15, 10**16]))
def test_a_place_is_the_share_of_peers_with_a_lower_number(numbers: list[Any], value: float) -> None:
    value = float(value)
    known = [number for number in numbers if number is not None]
    found = kept(numbers)
    if not known:
        assert found is None
        return
    assert found is not None
    share = Fraction(100 * sum(number < value for number in known), len(known))
    place = found.percentile_of(value)
    assert found.percentiles_of(pl.Series([value, value], dtype=pl.Float64).to_numpy()) == [place, place]
    for bound in (0, 25, 33, 50, 66, 95, 100):
        assert (place >= bound) is (share >= bound)
    middle = median([Fraction(str(number)) for number in known])
    times = found.times_median(value)
    assert (times is None) is (middle <= 0)
    for bound in (1, 3, Fraction(1, 2)) if times is not None else ():
        assert (times >= bound) is (Fraction(str(value)) / middle >= bound)


def test_of_many_numbers_evenly_spaced_ones_are_kept() -> None:
    found = kept(list(range(250_000)))
    assert found is not None
    assert len(found.values) == MOST_VALUES
    assert found.count == 250_000
    for value in (-1, 0, 1, 77_777, 249_999, 300_000):
        below = min(max(value, 0), 250_000)
        assert below - 250_000 / MOST_VALUES <= found.below(value) <= below
    assert found.median == Fraction(249_999, 2)


FRAME = pl.DataFrame(
    {
        input_key(COUNT.of): [1, 2, None, 4, 5],
        '{"field":"segment"}': ["b", "a", "a", None, "b"],
        input_key(INCOME.of): [0.1, None, float("inf"), -0.0, 7.25],
    }
)


def test_it_is_written_as_lines_and_read_back() -> None:
    made = made_reference([COUNT, INCOME], FRAME, 1_700_000_000_000_000, "SEK")
    lines = made.lines()
    assert all("\n" not in line for line in lines)
    again = read_reference(lines)
    assert again is not None
    assert (again.lines(), again.as_of, again.base, again.built_for) == (lines, made.as_of, "SEK", None)
    firms = BuiltFor("firms", "customer")
    of_firms = made_reference([COUNT, INCOME], FRAME, made.as_of, "SEK", firms).lines()
    read = read_reference(of_firms)
    assert read is not None
    assert (read.built_for, read_built_for(of_firms), of_firms[1:]) == (firms, firms, lines[1:])
    assert [read_built_for(members) for members in ((), ("NO",), ("{}",), ("1",), lines)] == [None] * 5
    assert again.counts(COUNT) == [1, 2]
    numbers = again.distribution(INCOME, None)
    assert numbers is not None
    assert numbers.values == [0.0, 0.1, 7.25]
    assert again.distribution(COUNT, "c") is None
    assert not again.has(Peers.model_validate({"of": {"count": "cases"}, "among": "everyone"}))


LINES = made_reference([INCOME], FRAME, 0, "EUR").lines()


@pytest.mark.parametrize(
    "members",
    [
        (),
        ("NO", "SE"),
        ('{"reference":2,"as_of":0,"base":"EUR"}',),
        (LINES[0], "{}"),
        *[
            (LINES[0], json.dumps({**json.loads(LINES[1]), **wrong}))
            for wrong in (
                {"values": [2, 1, 3]},
                {"values": []},
                {"up_to": [1, 2]},
                {"up_to": [3, 2, 3]},
                {"up_to": [0, 2, 3]},
                {"count": 4},
                {"middle": [2, 1]},
                {"values": [0, 1, "x"]},
            )
        ],
    ],
    ids=str,
)
def test_what_has_another_form_is_none(members: tuple[str, ...]) -> None:
    assert isinstance(read_reference(LINES), Reference)
    assert read_reference(members) is None


def test_a_few_peers_are_too_few_to_place_a_percent() -> None:
    assert 100 / FEWEST_PEERS < 3.4
