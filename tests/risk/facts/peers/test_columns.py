"""Places among peers in a portfolio: who is in no group, what is not there, and what a batch does not change."""

from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.engine.explain.rules import rule_outcomes
from fivefold.risk.facts.peers import FEWEST_PEERS, made_reference, peers_in
from fivefold.risk.facts.portfolio import ListVersion, NamedList
from fivefold.risk.language.expressions import input_key
from tests.risk.engine.small import DAY, case, portfolio, rule, ruleset

Data = dict[str, Any]
PEERS = {"of": {"field": "income"}, "among": {"field": "kind"}}
PLACED = rule("placed", case({"at_least": 50}, 10), case({"at_least": 0}, 1), input={"peer_percentile": PEERS})
TIMES = rule(
    "times",
    case({"at_least": 2}, 20),
    input={"times_peer_median": {**PEERS, "among": "everyone"}},
    on_unknown={"points": 3},
)
ANALYSED = AnalysedRuleset(ruleset(PLACED, TIMES, reference="our-peers"))
PEOPLE = [*[{"kind": "person", "income": number} for number in range(1, 41)], *[{"kind": "company", "income": 5}] * 3]


def reference(base: str = "EUR", people: list[Data] = PEOPLE, since: str = "2024-01-01") -> ListVersion:
    columns = {
        input_key(peers_in(each).of): pl.Series([one["income"] for one in people], dtype=pl.Float64)
        for each in ANALYSED.peer_inputs
    }
    frame = pl.DataFrame(columns).with_columns(pl.Series('{"field":"kind"}', [one["kind"] for one in people]))
    wanted = [peers_in(each) for each in ANALYSED.peer_inputs]
    made = made_reference(wanted, frame, parse_moment(since), base)
    return ListVersion(since=parse_moment(since), members=made.lines())


def lists(*versions: ListVersion) -> dict[str, NamedList]:
    return {"our-peers": NamedList(name="our-peers", title="t", source="s", versions=versions)}


def seen(people: list[Data], *versions: ListVersion) -> list[tuple[list[int | str], list[str]]]:
    """Give each one's cases, and what was seen."""
    found = assess(ANALYSED, portfolio(people, lists=lists(*(versions or (reference(),)))), DAY)
    told = [rule_outcomes(found, position) for position in range(len(found))]
    return [([one.case for one in each], [one.seen for one in each]) for each in told]


def test_a_place_is_told_with_its_peers() -> None:
    ((cases, words),) = seen([{"kind": "person", "income": 21}])
    assert cases == [1, "otherwise"]
    place, times = words
    assert place.endswith("is 50: 21, higher than 50 % of 40 peers in kind person (reference 2024-01-01)")
    assert times.endswith("times the median of 43 peers (reference 2024-01-01)")


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ({"kind": "person"}, ("income is unknown", "income is unknown")),
        ({"income": 60}, ("kind is unknown", "3.")),
        ({"kind": "company", "income": 60}, ("there are only 3 peers in kind company", "3.")),
    ],
)
def test_what_is_unknown_says_why(person: Data, why: tuple[str, str]) -> None:
    ((cases, words),) = seen([person])
    assert cases == ["unknown", "unknown" if "income" not in person else 1]
    assert all(part in text for part, text in zip(why, words, strict=True))


@pytest.mark.parametrize("assessed", [1, 2])
@pytest.mark.parametrize(
    ("peers", "cases", "words"),
    [
        (FEWEST_PEERS, [1, 1], f"of {FEWEST_PEERS} peers"),
        (FEWEST_PEERS - 1, ["unknown", "unknown"], f"there are only {FEWEST_PEERS - 1} peers"),
    ],
)
def test_so_few_peers_place_and_one_fewer_does_not(
    assessed: int, peers: int, cases: list[int | str], words: str
) -> None:
    people = [{"kind": "person", "income": number} for number in range(1, peers + 1)]
    for found, texts in seen([{"kind": "person", "income": 1000}] * assessed, reference(people=people)):
        assert found == cases
        assert all(words in text for text in texts)


def test_a_calculation_that_is_unknown_says_why_as_a_rule_on_it_does() -> None:
    placed = rule(
        "placed", case({"at_least": 50}, 10), input={"peer_percentile": {**PEERS, "of": {"calculation": "c1"}}}
    )
    plain = rule("plain", case({"at_least": 50}, 10), input={"calculation": "c1"})
    twice = {"c1": {"multiply": [{"field": "income"}, 2], "unit": "ratio"}}
    for rules in ((placed,), (placed, plain)):
        analysed = AnalysedRuleset(ruleset(*rules, calculate=twice, reference="our-peers"))
        found = assess(analysed, portfolio([{"kind": "person"}], lists=lists(reference())), DAY)
        words = rule_outcomes(found, 0)[0].seen
        assert words.endswith("is unknown, as c1 is unknown, as income is unknown")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (reference("SEK"), "there is no reference portfolio our-peers in EUR"),
        (ListVersion(since=0, members=("NO",)), "there is no reference portfolio our-peers in EUR"),
        (ListVersion(since=0, members=reference().members[:1]), "the reference portfolio says nothing of it"),
    ],
)
def test_another_portfolio_says_nothing(version: ListVersion, why: str) -> None:
    for people in ([{"kind": "person", "income": 60}], PEOPLE[:2]):
        for cases, words in seen(people, version):
            assert cases == ["unknown", "unknown"]
            assert all(why in text for text in words)


def test_a_value_that_cannot_be_read_fails_and_places_nobody_else() -> None:
    (failed, _), (other, _) = seen([{"kind": "person", "income": "ten"}, {"kind": "person", "income": 60}])
    assert (failed, other) == (["failed", "failed"], [1, 1])


def test_a_median_of_zero_says_nothing() -> None:
    people = [{"kind": "person", "income": 0}] * 40
    ((cases, words),) = seen([{"kind": "person", "income": 60}], reference(people=people))
    assert cases == [1, "unknown"]
    assert "the median of the peers is not above 0" in words[1]


def test_who_else_is_assessed_changes_no_place() -> None:
    alone = [seen([person])[0] for person in PEOPLE[::7]]
    assert seen(PEOPLE)[::7] == alone


def test_the_version_in_force_at_the_moment_decides() -> None:
    rich = [{**one, "income": 100} for one in PEOPLE]
    versions = (reference(), reference(people=rich, since="2024-06-01"))
    people = [{"kind": "person", "income": 60}]
    held = portfolio(people, lists=lists(*versions))
    before, after = (assess(ANALYSED, held, parse_moment(day)) for day in ("2024-05-01", "2024-06-01"))
    assert [rule_outcomes(found, 0)[0].case for found in (before, after)] == [1, 2]
    assert "2024-06-01" in explain(after, 0).rules[0].seen
