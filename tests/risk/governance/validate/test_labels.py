"""Labels: what was known when, and inputs that would give them away."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FileFormatError, InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.validate.labels import dated_only, match_labels, names_in, refuse_leaks
from fivefold.risk.language.expressions import PLAIN_INPUTS, FieldInput
from tests.risk.conftest import Refusal
from tests.risk.governance.making import AS_OF, DAY, TEXT, analysed, ruleset

ENTITIES = pl.DataFrame({"entity_id": ["a", "b", "c", "d"], "as_of": [AS_OF] * 4})
CASES = """
  - id: before
    title: Before
    category: other
    rationale: Past.
    input: {count: cases, where: {field: outcome, equals: confirmed}, over: 730 days}
    cases: [{when: {at_least: 1}, points: 20}]
"""


def day(number: int) -> date:
    """Days after as-of."""
    return date.fromordinal(date(2024, 7, 1).toordinal() + number)


@given(st.lists(st.tuples(st.sampled_from("abcz"), st.booleans(), st.integers(-3, 3)), max_size=8), st.integers(0, 3))
def test_only_what_became_known_after_as_of_and_by_the_horizon_is_confirmed(
    rows: list[tuple[str, bool, int]], horizon: int
) -> None:
    frame = pl.DataFrame(
        {
            "entity_id": pl.Series([row[0] for row in rows], dtype=pl.String),
            "confirmed": pl.Series([row[1] for row in rows], dtype=pl.Boolean),
            "at": pl.Series([day(row[2]) for row in rows], dtype=pl.Date),
        }
    )
    found = match_labels(frame, ENTITIES, AS_OF + horizon * DAY_US)
    first = {name: min(row[2] for row in rows if row[:2] == (name, True)) for name, yes, _ in rows if yes}
    for place, name in enumerate("abcd"):
        at = first.get(name)
        assert found.confirmed[place] == (at is not None and 0 < at <= horizon)
        assert found.known_before[place] == (at is not None and at <= 0)
        assert found.later[place] == (at is not None and at > max(0, horizon))
    assert found.strangers == (("z",) if "z" in first else ())
    assert found.undated == 0


def test_confirmed_stays_confirmed_where_a_later_row_says_otherwise_and_is_counted() -> None:
    rows = [("a", True, 1), ("a", False, 2), ("b", False, 1), ("b", True, 2), ("c", True, -1), ("c", False, 2)]
    names, said, at = zip(*rows, strict=True)
    found = match_labels(pl.DataFrame({"entity_id": names, "confirmed": said, "at": list(map(day, at))}), ENTITIES)
    assert found.confirmed.tolist() == [True, True, False, False]
    assert found.taken_back == 1


def test_every_entity_has_its_own_moment() -> None:
    entities = ENTITIES.with_columns(as_of=pl.Series([AS_OF + number * DAY for number in range(4)]))
    labels = pl.DataFrame({"entity_id": ["a", "b", "c", "d"], "at": ["2024-07-03T00:00:00"] * 4})
    assert match_labels(labels, entities).confirmed.tolist() == [True, True, False, False]


def test_labels_without_a_date_are_refused_unless_it_is_said_what_they_are(refusal: Refusal) -> None:
    labels = pl.DataFrame({"entity_id": ["a", "b"], "confirmed": ["true", "0"]})
    with refusal(FileFormatError):
        match_labels(labels, ENTITIES)
    found = match_labels(labels, ENTITIES, undated_are_later=True)
    assert found.confirmed.tolist() == [True, False, False, False]
    assert found.undated == 1
    mixed = pl.DataFrame({"entity_id": ["a", "a"], "at": ["", "2024-01-01"]})
    assert match_labels(mixed, ENTITIES, undated_are_later=True).known_before.tolist()[0]


@pytest.mark.parametrize(
    "columns",
    [
        {"who": ["a"]},
        {"entity_id": ["a"], "confirmed": ["perhaps"], "at": ["2024-07-02"]},
        {"entity_id": ["a", "b"], "at": ["2024-07-02", "soon"]},
    ],
)
def test_what_cannot_be_read_is_refused(columns: dict[str, list[str]], refusal: Refusal) -> None:
    with refusal(FileFormatError):
        match_labels(pl.DataFrame(columns), ENTITIES)


def test_inputs_made_of_the_label_are_refused_with_their_rules(refusal: Refusal) -> None:
    reads = ruleset(TEXT + CASES)
    with refusal(InvalidRulesetError):
        refuse_leaks(AnalysedRuleset(reads))
    refuse_leaks(AnalysedRuleset(reads), made_of=("alerts",))
    with refusal(InvalidRulesetError):
        refuse_leaks(AnalysedRuleset(reads), ["outcome"], ())
    with pytest.raises(InvalidRulesetError) as refused:
        refuse_leaks(analysed(), ["income", "kind", "city"])
    assert [finding.where for finding in refused.value.findings] == ["rule income", "applies_to, weights_by"]
    refuse_leaks(analysed())


def test_a_calculation_hides_no_input_that_is_made_of_the_label() -> None:
    rest = "income_left: {unit: ratio, add: [{calculation: inner}, 1]}"
    inner = "inner: {unit: ratio, divide: [{count: cases}, {field: income, as: count}]}"
    calculate = f"calculate:\n  {rest}\n  {inner}\nrules:"
    text = TEXT.replace("rules:", calculate, 1).replace("input: {field: income}", "input: {calculation: income_left}")
    with pytest.raises(InvalidRulesetError) as refused:
        refuse_leaks(AnalysedRuleset(ruleset(text)))
    assert [finding.where for finding in refused.value.findings] == ["rule income"]


def test_names_are_those_of_fields_sources_and_patterns_wherever_they_stand() -> None:
    rule = ruleset(TEXT + CASES).rule("before")
    assert rule.input is not None
    assert sorted(names_in(rule.input)) == ["cases", "outcome"]
    assert list(names_in(FieldInput(field="income"))) == ["income"]
    ratio = TEXT.replace(
        "input: {field: income}",
        "input: {ratio: [{sum: amount, over: 30 days, where: {not: {field: currency, equals: EUR}}}, {indicator: x}]}",
    )
    assert sorted(names_in(ruleset(ratio).rules[1].input)) == ["amount", "currency", "x"]  # type: ignore[arg-type]  # it has one


NAMING = {
    "ratio": [{"field": "banned"}, {"field": "income"}],
    "percentile": 90,
    "value": "score",
    "calculation": "inner",
    "peer_percentile": {"of": {"field": "banned"}, "among": "everyone"},
    "times_peer_median": {"of": {"field": "banned"}, "among": "everyone"},
    "linked": {"by": "home", "sum": {"field": "banned"}},
    "count": "cases",
}
"""How the words of inputs after which no free name stands are written."""
OUTCOME = {"field": "outcome", "equals": "confirmed"}


@pytest.mark.parametrize("word", PLAIN_INPUTS)
def test_what_is_banned_is_found_after_every_word_of_an_input(word: str) -> None:
    besides = {"percentile": {"of": "banned"}, "largest": {"n": 3}, "share": {"where": OUTCOME}}.get(word, {})
    rule_input = PLAIN_INPUTS[word].model_validate({word: NAMING.get(word, "banned"), **besides})
    found = set(names_in(rule_input))
    assert found >= {"count": {"cases"}, "value": {"score"}, "calculation": set()}.get(word, {"banned"})


@pytest.mark.parametrize("source", ["cases", "alerts"])
def test_a_share_of_what_the_label_is_made_of_is_refused(source: str) -> None:
    share = f"input: {{share: {source}, where: {{field: status, equals: open}}, over: 730 days}}"
    with pytest.raises(InvalidRulesetError, match=source):
        refuse_leaks(AnalysedRuleset(ruleset(TEXT.replace("input: {field: income}", share))))


RATES = base_only("EUR", date(2024, 1, 1))


def portfolio(**tables: pl.DataFrame) -> Portfolio:
    entities = pl.DataFrame({ENTITY: ["a", "b"], "known_at": [date(2023, 1, 1)] * 2})
    return Portfolio(**{"entities": entities, "rates": RATES, **tables})


def tags(*dates: date | None) -> pl.DataFrame:
    return pl.DataFrame(
        {ENTITY: ["a"] * len(dates), "tag": ["watch"] * len(dates), "from": list(dates)},
        schema_overrides={"from": pl.Date},
    )


def test_undated_tags_are_left_out_and_said() -> None:
    kept, cautions = dated_only(portfolio(tags=tags(date(2023, 5, 1), None, None)))
    assert kept.tags is not None
    assert kept.tags["from"].to_list() == [date(2023, 5, 1)]
    assert cautions == (
        "2 of 3 tags have no date (from) and were left out: nothing shows that they were known at as-of",
    )


def test_without_a_column_of_dates_all_are_undated() -> None:
    found = pl.DataFrame({ENTITY: ["a"], "screening": ["sanctions"], "found": [True]})
    kept, cautions = dated_only(portfolio(screenings=found))
    assert kept.screenings is not None
    assert len(kept.screenings) == 0
    assert kept.screenings.columns == found.columns
    assert cautions[0].startswith("1 of 1 screenings have no date (at) and were left out")


def test_who_says_that_they_were_known_keeps_them_and_is_cautioned() -> None:
    kept, cautions = dated_only(portfolio(tags=tags(None)), undated_known=True)
    assert kept.tags is not None
    assert len(kept.tags) == 1
    assert "were taken as known at as-of, as was asked" in cautions[0]


@pytest.mark.parametrize("known_at", [None, [None, None]])
def test_undated_attributes_are_said(known_at: list[None] | None) -> None:
    entities = pl.DataFrame({ENTITY: ["a", "b"]})
    if known_at is not None:
        entities = entities.with_columns(pl.Series("known_at", known_at, dtype=pl.Date))
    kept, cautions = dated_only(portfolio(entities=entities))
    assert len(kept.entities) == 2
    assert cautions[0].startswith("the attributes of 2 of 2 entities have no date (known_at)")


def test_undated_links_are_kept_and_cautioned_of() -> None:
    """Without them nothing would be known of whom an entity is linked to."""
    ends = {"type": ["home"] * 3, "from": ["a", "b", "c"], "to": ["H1", "H1", None]}
    for dates, count in (({}, 3), ({"valid_from": ["2023-01-01", None, "2023-01-01"]}, 1)):
        given = replace(portfolio(), links=Links(pl.DataFrame(ends | dates)))
        kept, cautions = dated_only(given)
        assert kept.links is given.links
        assert cautions[-1].startswith(f"{count} of 3 links have no date (valid_from) and were taken as known at as-of")
    dated = Links(pl.DataFrame(ends | {"valid_from": ["2023-01-01"] * 3}))
    assert not any("links" in each for each in dated_only(replace(portfolio(), links=dated))[1])


def test_empty_text_is_no_date() -> None:
    """Readers take it for none, so what has it was there from the start."""
    dates = ["2023-05-01", "", None]
    given = replace(
        portfolio(
            entities=pl.DataFrame({ENTITY: ["a", "b", "c"], "known_at": dates}),
            tags=pl.DataFrame({ENTITY: ["a"] * 3, "tag": ["watch"] * 3, "from": dates}),
            screenings=pl.DataFrame({ENTITY: ["a"] * 3, "screening": ["sanctions"] * 3, "at": dates}),
        ),
        links=Links(pl.DataFrame({"type": ["home"] * 3, "from": ["a"] * 3, "to": ["H1"] * 3, "valid_from": dates})),
    )
    kept, cautions = dated_only(given)
    assert kept.tags is not None
    assert kept.screenings is not None
    assert (kept.tags["from"].to_list(), kept.screenings["at"].to_list()) == (dates[:1], dates[:1])
    assert [each.partition(" have no date")[0] for each in cautions] == [
        "2 of 3 tags",
        "2 of 3 screenings",
        "the attributes of 2 of 3 entities",
        "2 of 3 links",
    ]


def test_a_date_that_cannot_be_read_stays_for_the_assessment_to_refuse() -> None:
    unread = pl.DataFrame({ENTITY: ["a"], "tag": ["watch"], "from": ["soon"]})
    kept, cautions = dated_only(portfolio(tags=unread))
    assert kept.tags is unread
    assert cautions == ()


def test_what_is_dated_is_no_matter() -> None:
    kept, cautions = dated_only(portfolio(tags=tags(date(2023, 5, 1)), screenings=None))
    assert cautions == ()
    assert kept.tags is not None
    assert len(kept.tags) == 1
