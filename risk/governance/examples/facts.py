"""Converts what examples give to the frames of a portfolio: short words, and defaults if there is only one meaning."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, Protocol

import polars as pl

from fivefold.domain.clock import from_microseconds, parse_moment
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.domain.text import nearest, perhaps
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.value_types import SCORES
from fivefold.risk.facts.groups.links import FROM, TO, TYPE, Links
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, NamedList, Portfolio
from fivefold.risk.facts.reading import entities_from_rows
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import VALUES, ScreeningInput, input_key
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.peers import PeerPercentile, peers_of
from fivefold.risk.language.quantities import quoted_value
from fivefold.risk.language.ruleset import Example, GivenExample, LinkType, Ruleset

BASE = "EUR"
"""The currency of transactions in examples that name none."""

LINKS: Final = "links"

LINKED = (
    "transactions",
    "cases",
    "alerts",
    "tags",
    "screening",
    "screenings",
    "indicators",
    "value",
    "previous",
    LINKS,
    "peers",
)
"""What an example may give besides the fields of the entity."""

_SHORT = {
    "amount": "transaction_amount",
    "currency": "transaction_currency",
    "time": "transaction_date",
    "state": "transaction_state",
}
"""Words of a transaction in an example, and those of the API."""

_TRANSACTION = (*_SHORT.values(), "transaction_id")
_TAG = ("tag", "from", "until")
_SCREENING = ("screening", "found", "at")
_RECORD = ("opened", "closed", "outcome", "status")


def check_examples(ruleset: Ruleset) -> list[Finding]:
    """Find unknown fields that examples give, and unknown rules, cases and levels that they expect."""
    declared = {*ruleset.fields, *LINKED}
    findings = []
    for example in ruleset.examples:
        where = f"example {example.name}"
        findings += [*strange_fields(example, declared), *strange_links(example, ruleset)]
        findings += strange_words(example, ruleset)
        findings += [*_strange_score(example), *_strange_peers(example, ruleset)]
        expect = example.expect
        rules = {rule.id: len(rule.cases) for rule in ruleset.rules}
        rules_expected = {*expect.cases, *([expect.floor_by] if expect.floor_by else [])}
        findings += [
            Finding(where, f"expects something of the rule {name}, which is not there{perhaps(name, rules)}")
            for name in sorted(rules_expected - set(rules))
        ]
        findings += [
            Finding(where, f"expects case {case} of the rule {name}, which has {rules[name]}")
            for name, case in expect.cases.items()
            if isinstance(case, int) and case > rules.get(name, case)
        ]
        if expect.level is not None and not _is_level(expect.level, ruleset):
            there = f"{', '.join(ruleset.levels)}{perhaps(expect.level, ruleset.levels)}"
            findings.append(Finding(where, f"expects the level {expect.level}; there are {there}"))
    return findings


def _strange_score(example: Example) -> Iterator[Finding]:
    """Find a score that no value can have: lint's proofs about cases hold for possible scores alone."""
    value = example.given.get("value")
    score = value.get("score") if isinstance(value, dict) else None
    try:
        is_strange = not SCORES[0] <= Decimal(str(score)) <= SCORES[1]
    except InvalidOperation:  # missing, or not a number
        return
    if is_strange:
        problem = f"gives the value a score of {score}; scores are from {SCORES[0]} to {SCORES[1]}"
        yield Finding(f"example {example.name}", problem)


def _strange_peers(example: Example, ruleset: Ruleset) -> Iterator[Finding]:
    """Find places among peers that are given for a rule that reads none, or that no number can have."""
    inputs = {rule.id: rule.input for rule in ruleset.rules if peers_of(rule.input) is not None}
    reading = list(inputs)
    places = example.given.get("peers")
    for name, place in places.items() if isinstance(places, dict) else ():
        if name not in reading:
            problem = f"gives a place among peers for {name}, which is not a rule with such an input"
            yield Finding(f"example {example.name}", f"{problem}; there are {_all(reading)}{perhaps(name, reading)}")
        elif not _is_place(place, inputs[name]):
            allowed = "0 to 100 percent" if isinstance(inputs[name], PeerPercentile) else "a number from 0 on"
            problem = f"gives {name} the place {place} among peers; there is {allowed}"
            yield Finding(f"example {example.name}", problem)


MOST_PERCENT = 100


def _is_place(place: Any, rule_input: Any) -> bool:
    """Check whether a number can have this place among peers; a value that is not a number is refused elsewhere."""
    if not isinstance(place, Decimal):
        return True
    return place >= 0 and (place <= MOST_PERCENT or not isinstance(rule_input, PeerPercentile))


def strange_words(example: GivenExample, ruleset: Definition) -> Iterator[Finding]:
    """Find words in rows that nothing reads, which would be ignored silently, and transactions without a time."""
    records = {*_RECORD, *ruleset.case_fields}
    words = {
        "transactions": {*_SHORT, *_TRANSACTION, *ruleset.transaction_fields},
        "cases": records,
        "alerts": records,
        "tags": set(_TAG),
        "screenings": set(_SCREENING),
    }
    for place, facts in given_below(example):
        for part, declared in words.items():
            rows = facts.get(part)
            given_rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            yield from unknown_names(f"{place}, {part}", (name for row in given_rows for name in row), declared)
            if part == "transactions" and any(declared.issuperset(row) and _has_no_time(row) for row in given_rows):
                problem = "has a transaction without a time, which no window can count; write one, as time: 2024-06-01"
                yield Finding(f"{place}, {part}", problem)


def _has_no_time(row: Mapping[str, Any]) -> bool:
    return row.get("time", row.get(_SHORT["time"])) is None


def _all(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _is_level(level: str | int, ruleset: Ruleset) -> bool:
    try:
        ruleset.level_number(level)
    except KeyError:
        return False
    return True


def example_portfolio(analysed: AnalysedRuleset, lists: Mapping[str, NamedList], as_of: int) -> Portfolio:
    """Make the portfolio whose entities are the examples, numbered from 0.

    Raises InvalidRulesetError if an example gives something in an unreadable form.
    """
    ruleset = analysed.ruleset
    examples, links = everybody(ruleset)
    everyone = portfolio_of(examples, ruleset, Needs.of(analysed).facts, as_of)
    return replace(
        everyone,
        entities=everyone.entities.head(len(ruleset.examples)),
        lists=_with_reference(analysed, lists),
        peers=_peers(ruleset) if analysed.peer_inputs else None,
        links=links,
        everyone=everyone.entities,
    )


def portfolio_of(
    examples: Sequence[GivenExample], definition: Definition, facts: Sequence[LanguageModel], as_of: int
) -> Portfolio:
    """Make the portfolio of what examples give themselves, numbered from 0.

    Args:
        examples: the examples of a ruleset or a flow.
        definition: the definition whose fields they give.
        facts: the inputs that read facts of the examples.
        as_of: a moment on whose day money is in the base currency (microseconds).

    Raises:
        InvalidRulesetError: an example gives something in an unreadable form.
    """
    rows = [{ENTITY: str(number), **example.given} for number, example in enumerate(examples)]
    return Portfolio(
        entities_from_rows(rows, definition.fields),
        base_only(BASE, from_microseconds(as_of).date()),
        transactions=transactions_of(examples, definition),
        cases=_records(examples, "cases", definition),
        alerts=_records(examples, "alerts", definition),
        tags=_tags(examples),
        screenings=_screenings(examples, facts),
        indicators=_values(examples, "indicators", catalogue().names),
        values=_values(examples, "value", VALUES),
    )


def _with_reference(analysed: AnalysedRuleset, lists: Mapping[str, NamedList]) -> Mapping[str, NamedList]:
    """Add an empty reference portfolio: examples give their places among peers themselves; others are unknown."""
    empty = ListVersion(since=0, members=())
    return {
        **lists,
        **{
            name: NamedList(name=name, title=name, source="examples", versions=(empty,)) for name in analysed.references
        },
    }


def _peers(ruleset: Ruleset) -> pl.DataFrame:
    """Collect the places among peers that examples give, by the ids of the rules that read them."""
    keys = {rule.id: input_key(rule.input) for rule in ruleset.rules if rule.input and peers_of(rule.input) is not None}
    rows = []
    for number, example in enumerate(ruleset.examples):
        peers = example.given.get("peers", {})
        if not isinstance(peers, dict) or not all(isinstance(place, Decimal | None) for place in peers.values()):
            raise _unreadable(example, "peers", "places among peers by rule, such as {many-payers: 98}")
        places = {name: None if place is None else float(place) for name, place in peers.items()}
        rows.append({ENTITY: str(number), **{keys[name]: place for name, place in places.items() if name in keys}})
    return pl.DataFrame(rows, schema={ENTITY: pl.String, **dict.fromkeys(keys.values(), pl.Float64)})


def example_moments(ruleset: Ruleset, as_of: int) -> list[int]:
    """Return the moment of each example, *as_of* if it names none (microseconds)."""
    return [as_of if example.as_of is None else example.as_of for example in ruleset.examples]


def previous_levels(ruleset: Ruleset) -> pl.DataFrame:
    """Collect the levels that examples held before: `previous: {level: high, entered: 2024-01-01}`."""
    rows = []
    for number, example in enumerate(ruleset.examples):
        previous = example.given.get("previous")
        if previous is not None:
            try:
                entered = parse_moment(str(previous["entered"]), "entered")
                rows.append({ENTITY: str(number), "level": ruleset.level_number(previous["level"]), "entered": entered})
            except (KeyError, TypeError):
                raise _unreadable(example, "previous", "{level: high, entered: 2024-01-01}") from None
    return pl.DataFrame(rows, schema={ENTITY: pl.String, "level": pl.Int8, "entered": pl.Int64})


def _each(examples: Sequence[GivenExample], part: str) -> list[tuple[int, Any]]:
    items = []
    for number, example in enumerate(examples):
        value = example.given.get(part, [])
        if not isinstance(value, list):
            raise _unreadable(example, part, "a list")
        items += [(number, item) for item in value]
    return items


def _unreadable(example: GivenExample, part: str, right: str) -> InvalidRulesetError:
    value = example.given.get(part)
    return InvalidRulesetError(
        [Finding(f"example {example.name}, {part}", f"is {quoted_value(value)}; it must be {right}")], "an example"
    )


def _frame(rows: Sequence[tuple[int, Mapping[str, Any]]], columns: Sequence[str]) -> pl.DataFrame:
    """Make a frame in which every column is text, for rows of any content."""
    texts = [{ENTITY: str(number), **{name: _text(row.get(name)) for name in columns}} for number, row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys((ENTITY, *columns), pl.String))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def transactions_of(examples: Sequence[GivenExample], ruleset: Definition) -> pl.DataFrame:
    """Make the transactions of examples in the form of a portfolio; without a currency they are in the base."""
    rows = []
    for number, row in _each(examples, "transactions"):
        if not isinstance(row, dict):
            raise _unreadable(
                examples[number], "transactions", "a list of rows such as {amount: -50, time: 2024-06-01}"
            )
        own: dict[Any, Any] = {_SHORT.get(name, name): value for name, value in row.items()}
        rows.append((number, {"transaction_currency": BASE, **own}))
    return _frame(rows, (*_TRANSACTION, *ruleset.transaction_fields))


def _records(examples: Sequence[GivenExample], part: str, ruleset: Definition) -> pl.DataFrame:
    rows = _each(examples, part)
    for number, row in rows:
        if not isinstance(row, dict):
            raise _unreadable(examples[number], part, "a list of rows such as {opened: 2024-06-01, outcome: confirmed}")
    return _frame(rows, (*_RECORD, *ruleset.case_fields))


def _tags(examples: Sequence[GivenExample]) -> pl.DataFrame:
    """Make the tags of examples: words, or rows with the moments at which they begin and end."""
    tags = [(number, tag if isinstance(tag, dict) else {"tag": tag}) for number, tag in _each(examples, "tags")]
    return _frame(tags, _TAG)


def _screenings(examples: Sequence[GivenExample], inputs: Sequence[LanguageModel]) -> pl.DataFrame:
    """Make the screenings of examples.

    `screening`, with what was found, implies an undated screening of every kind that the ruleset reads; `screenings`
    are rows, each with its moment.
    """
    dated = _each(examples, "screenings")
    for number, row in dated:
        if not isinstance(row, dict):
            right = "a list of rows such as {screening: pep, found: false, at: 2024-06-01}"
            raise _unreadable(examples[number], "screenings", right)
    kinds = [each.screening for each in inputs if isinstance(each, ScreeningInput)]
    _each(examples, "screening")
    rows = [
        {ENTITY: str(number), "screening": kind, "found": kind in example.given["screening"]}
        for number, example in enumerate(examples)
        if "screening" in example.given
        for kind in kinds
    ]
    rows += [
        {ENTITY: str(number), "screening": _text(row.get("screening")), "found": row.get("found"), "at": row.get("at")}
        for number, row in dated
    ]
    texts = [{**row, "found": _text(row["found"]), "at": _text(row.get("at"))} for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys((ENTITY, *_SCREENING), pl.String))


def _values(examples: Sequence[GivenExample], part: str, names: Sequence[str]) -> pl.DataFrame:
    rows = []
    for number, example in enumerate(examples):
        value = example.given.get(part, {})
        if not isinstance(value, dict) or not set(value) <= set(names):
            raise _unreadable(example, part, f"values by name, of {', '.join(names)}")
        rows.append({ENTITY: str(number), **value})
    kinds = {name: pl.String if name == "segment" else pl.Float64 for name in names}
    return pl.DataFrame(rows, schema={ENTITY: pl.String, **kinds}, strict=False)


_SHARED = "a list of entities such as [{income: 100}], empty for nobody"
_DIRECTED = "{to: [...], from: [...]} with a list of entities after each, empty for nobody"


class Linking(Protocol):
    """A definition with examples and types of links: a ruleset or a flow."""

    @property
    def examples(self) -> Sequence[GivenExample]:
        """The examples, in order."""

    @property
    def links(self) -> Mapping[str, LinkType]:
        """The types of links, by name."""


class Everybody(NamedTuple):
    """The examples and all entities that they are linked to, in one sequence: the examples come first.

    Attributes:
        examples: one for each entity, with what is given of it.
        links: the links between them, by their numbers.
    """

    examples: Sequence[GivenExample]
    links: Links


def everybody(ruleset: Linking) -> Everybody:
    """Collect the examples and the entities linked to them; raises InvalidRulesetError for links in another form."""
    there, rows = list(ruleset.examples), list[tuple[Any, ...]]()
    for number, example in enumerate(there):  # the list grows meanwhile
        for name, way, members in _linked_entities(example, ruleset.links):
            shared = f"of example {number}"
            others = [str(len(there) + place) for place in range(len(members))]
            there += [example.model_copy(update={"given": each}) for each in members]
            rows += _rows(name, way, str(number), others, shared)
    frame = pl.DataFrame(rows, schema=dict.fromkeys((TYPE, FROM, TO), pl.String), orient="row")
    return Everybody(there, Links(frame))


def _rows(name: str, way: str, own: str, others: Sequence[str], shared: str) -> list[tuple[Any, ...]]:
    if not way:
        return [(name, one, shared) for one in (own, *others)]
    ends = [(own, one) if way == TO else (one, own) for one in others or (None,)]
    return [(name, *end) for end in ends]


def _linked_entities(
    example: GivenExample, declared: Mapping[str, LinkType]
) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield the type, the direction (empty for none) and the entities of each kind of link that an example has."""
    links = example.given.get(LINKS, {})
    if not isinstance(links, dict):
        raise _unreadable_link(example, "", "entities by the type of link")
    for name, value in links.items():
        if name not in declared:
            continue
        if declared[name].kind == "shared":
            yield name, "", _entities(example, name, value, _SHARED)
            continue
        if not isinstance(value, dict) or not set(value) <= {TO, FROM}:
            raise _unreadable_link(example, name, _DIRECTED)
        for way, others in value.items():
            yield name, way, _entities(example, name, others, _DIRECTED)


def _entities(example: GivenExample, name: str, value: Any, right: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _unreadable_link(example, name, right)
    return value


def _unreadable_link(example: GivenExample, name: str, right: str) -> InvalidRulesetError:
    where = f"example {example.name}, {LINKS}{f', {name}' if name else ''}"
    return InvalidRulesetError([Finding(where, f"must be {right}")], "an example")


def given_below(example: GivenExample) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what an example gives, and what it gives of linked entities, each with the words for its place."""
    waiting: list[tuple[str, Mapping[str, Any]]] = [(f"example {example.name}", example.given)]
    while waiting:
        where, facts = waiting.pop(0)
        yield where, facts
        links = facts.get(LINKS)
        for name, value in links.items() if isinstance(links, dict) else ():
            several = value.values() if isinstance(value, dict) else (value,)
            entities = [one for each in several if isinstance(each, list) for one in each if isinstance(one, dict)]
            waiting += [(f"{where}, {name}", one) for one in entities]


def strange_fields(example: GivenExample, fields: Iterable[str]) -> Iterator[Finding]:
    """Find what an example gives of itself, or of entities linked to it, that is not among the *fields*."""
    for place, facts in given_below(example):
        yield from unknown_names(place, facts, fields)


def unknown_names(place: str, keys: Iterable[str], declared: Iterable[str]) -> Iterator[Finding]:
    """Find the names at a place that are not declared: one finding for all of them."""
    there = sorted(set(declared))
    unknown = list(dict.fromkeys(name for name in keys if name not in there))
    if len(unknown) == 1:
        why = f"which is not a field; there are {', '.join(there)}{perhaps(unknown[0], there)}"
        yield Finding(place, f"gives {unknown[0]}, {why}")
    elif unknown:
        keys = ", ".join(f"{name} (perhaps {near})" if (near := nearest(name, there)) else name for name in unknown)
        yield Finding(place, f"gives {keys}, which are not fields; there are {', '.join(there)}")


def strange_links(example: GivenExample, ruleset: Linking) -> Iterator[Finding]:
    """Find types of links that the ruleset or the flow does not declare."""
    for where, facts in given_below(example):
        links = facts.get(LINKS)
        for name in links if isinstance(links, dict) else ():
            if name not in ruleset.links:
                there = ", ".join(ruleset.links) or "none"
                problem = f"gives links of the type {name}, which is not under links; there are {there}"
                yield Finding(where, f"{problem}{perhaps(name, ruleset.links)}")
