"""Inputs and conditions: what a rule reads, and tests of it, joined by all, any and not in three-valued logic."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias, cast, get_args

from pydantic import Discriminator, Field, StringConstraints, Tag, create_model, model_validator
from typing_extensions import TypeAliasType

from fivefold.risk.language.base import Label, LanguageModel, Name
from fivefold.risk.language.operators import INPUT_OPERATORS, Operators, compared_with
from fivefold.risk.language.patterns import Pattern
from fivefold.risk.language.peers import PeerPercentile, Peers, TimesPeerMedian
from fivefold.risk.language.quantities import AgoText, DurationText, Rank

Source = Literal["transactions", "cases", "alerts", "tags", "screenings"]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class FieldInput(LanguageModel):
    """A field of the entity; inside `where`, a field of the transaction, case or alert."""

    field: Name


class Window(LanguageModel):
    """The linked facts that an aggregate is over: those in (end − over, end] for which `where` is true.

    Attributes:
        where: a condition on their fields; a fact for which it is unknown does not count. Only settled transactions
            count, unless it tests their state.
        over: the length of the window; by default everything up to its end.
        ending: how long before as-of the window ends; by default it ends at as-of.
        in_currency: only transactions in that currency, by their own amounts; by default all, in the base currency.
    """

    where: "Condition | None" = None
    over: DurationText | None = None
    ending: AgoText | None = None
    in_currency: Currency | None = None


class Count(Window):
    """How many there are; 0 where there is none, and unknown where nobody was screened for what `where` asks."""

    count: Source


class Sum(Window):
    """The sum of a field of transactions; 0 where there is none."""

    sum: Name


class Mean(Window):
    """The mean of a field of transactions; unknown where there is none."""

    mean: Name


class Least(Window):
    """The least value of a field of transactions; unknown where there is none."""

    min: Name


class Most(Window):
    """The greatest value of a field of transactions; unknown where there is none."""

    max: Name


class Distinct(Window):
    """How many different values a field of transactions has; 0 where there is none."""

    distinct: Name


class New(Window):
    """How many different values a field of transactions has in the window and never had before it; 0 for none."""

    new: Name


class Median(Window):
    """The middle value of a field of transactions, the mean of both of an even number; unknown where there is none."""

    median: Name


class StandardDeviation(Window):
    """The sample standard deviation (n − 1) of a field of transactions; unknown where there are fewer than two."""

    standard_deviation: Name


class Percentile(Window):
    """The least value of a field of transactions that so many percent do not exceed; unknown where there is none.

    It is one of the values, by the nearest rank: of n values in order the one at position ⌈percentile ÷ 100 × n⌉.
    """

    percentile: Rank
    of: Name


class Largest(Window):
    """The sum of the n largest values of a field of transactions, or of all that there are; 0 where there is none."""

    largest: Name
    n: Annotated[int, Field(ge=1, le=1000)]


class Share(Window):
    """The share that meets `where`: of a field's sum, or of the number of transactions, cases or alerts.

    Facts for which `where` is unknown are in neither part. The share is unknown if the whole is 0.
    """

    share: Name


class DaysSince(Window):
    """Days (with fractions) since the latest fact, or since a date field; unknown where there is none."""

    days_since: Name


class Ratio(LanguageModel):
    """The first number over the second; unknown where the second is 0 or one of them unknown."""

    ratio: tuple["NumberInput", "NumberInput"]


class IndicatorInput(LanguageModel):
    """An indicator of the catalogue, as of the assessment."""

    indicator: Name


ValueName = Literal["score", "segment", "expected_value", "expected_value_low", "expected_value_high"]
VALUES: Final[tuple[str, ...]] = get_args(ValueName)
"""The outputs of the value model for an entity."""


class ValueInput(LanguageModel):
    """What the value model says."""

    value: ValueName


class CalculationInput(LanguageModel):
    """One of the ruleset's calculations, by its name; unknown where a part of it is unknown, or a divisor is 0."""

    calculation: Name


class TagInput(LanguageModel):
    """A tag that people gave; absent where it was not given, never unknown."""

    tag: Label


class ScreeningInput(LanguageModel):
    """A screening's result: present where it found something, absent where not, unknown where never screened."""

    screening: Label


GROUP_WORDS = ("count", "any", "sum", "mean", "min", "max")
"""The words of a group that name its result."""

Way = Literal["to", "from", "both"]
"""The direction in which links are followed: to what they lead to, to what they come from, or both."""


class LinkedGroup(LanguageModel):
    """The entities that an entity is linked to, each once, and one number or answer made of them.

    Attributes:
        by: the type of the links, one of the ruleset's.
        way: for links that have a direction, whether to what they lead to, to what they come from, or both.
        steps: the largest number of links to follow, one after another.
        itself: whether the entity is one of the group.
        where: a condition on linked entities; if it is unknown for one of them, the result is unknown.
        count: the number of linked entities; 0 if there is none.
        any: whether a condition holds for one of them: true as soon as one meets it, even if others are unknown.
        sum: the sum of a number of each; 0 if there is none.
        mean: the mean of a number of each; unknown if there is none, as for `min` and `max`.
        min: the least number of all.
        max: the greatest number of all.
    """

    by: Name
    way: Way | None = None
    steps: Annotated[int, Field(ge=1, le=5)] = 1
    itself: bool = False
    where: "Condition | None" = None
    count: Literal["entities"] | None = None
    any: "Condition | None" = None
    sum: "LinkedNumber | None" = None
    mean: "LinkedNumber | None" = None
    min: "LinkedNumber | None" = None
    max: "LinkedNumber | None" = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        there = [word for word in GROUP_WORDS if getattr(self, word) is not None]
        if len(there) != 1:
            raise ValueError(f"has {' and '.join(there) or 'none'} of {', '.join(GROUP_WORDS)}; it needs one")
        return self

    @property
    def word(self) -> str:
        """The word that names the group's result."""
        return next(word for word in GROUP_WORDS if getattr(self, word) is not None)

    @property
    def part(self) -> LanguageModel | None:
        """The number read of each linked entity; None for `count` and `any`."""
        made_of: LanguageModel | None = getattr(self, self.word)
        return None if self.word in {"count", "any"} else made_of


class Linked(LanguageModel):
    """A number or an answer over the entities that one is linked to; unknown where nothing says whom it is linked to.

    It is also unknown if a value that it is made of is unknown for one of them, or if there are too many of them.
    """

    linked: LinkedGroup


PLAIN_INPUTS: dict[str, type[LanguageModel]] = {
    "field": FieldInput,
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "min": Least,
    "max": Most,
    "distinct": Distinct,
    "new": New,
    "median": Median,
    "standard_deviation": StandardDeviation,
    "percentile": Percentile,
    "largest": Largest,
    "share": Share,
    "days_since": DaysSince,
    "ratio": Ratio,
    "indicator": IndicatorInput,
    "value": ValueInput,
    "calculation": CalculationInput,
    "peer_percentile": PeerPercentile,
    "times_peer_median": TimesPeerMedian,
    "tag": TagInput,
    "screening": ScreeningInput,
    "linked": Linked,
}
"""The word that names each input, and its form; a pattern is known by its own name."""


def word_of(value: Any, words: Iterable[str]) -> str | None:
    """Find the first of *words* that is a key of a mapping, or a field of a model; None if there is none."""
    names = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, LanguageModel) else ()
    return next((word for word in words if word in names), None)


def _choice(words: tuple[str, ...], what: str, offered: tuple[str, ...] | None = None) -> Discriminator:
    in_turn = sorted(words, key=lambda word: word != "pattern")  # some parameters of patterns have the names of inputs
    return Discriminator(
        lambda value: word_of(value, in_turn),
        custom_error_type="input",
        custom_error_message=f"is not {what}; it must have one of the words {', '.join(offered or words)}",
    )


AGGREGATE_WORDS = (
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "distinct",
    "new",
    "median",
    "standard_deviation",
    "percentile",
    "largest",
    "share",
    "days_since",
)
"""The words of the inputs that are made of linked facts."""

NUMERIC_WORDS = (*AGGREGATE_WORDS, "indicator", "value", "field")
_Numeric = (
    Annotated[FieldInput, Tag("field")]
    | Annotated[Count, Tag("count")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Mean, Tag("mean")]
    | Annotated[Least, Tag("min")]
    | Annotated[Most, Tag("max")]
    | Annotated[Distinct, Tag("distinct")]
    | Annotated[New, Tag("new")]
    | Annotated[Median, Tag("median")]
    | Annotated[StandardDeviation, Tag("standard_deviation")]
    | Annotated[Percentile, Tag("percentile")]
    | Annotated[Largest, Tag("largest")]
    | Annotated[Share, Tag("share")]
    | Annotated[DaysSince, Tag("days_since")]
    | Annotated[IndicatorInput, Tag("indicator")]
    | Annotated[ValueInput, Tag("value")]
)
NumberInput = Annotated[_Numeric, _choice(NUMERIC_WORDS, "a number")]
"""An input that can be a number."""

LinkedNumber = Annotated[
    _Numeric, _choice(NUMERIC_WORDS, "a number of each of those linked", (*AGGREGATE_WORDS, "field"))
]
"""A number of linked entities.

Inputs that only the entity itself has are refused when names are checked, and not offered.
"""

PeerGroup = Annotated[
    Annotated[FieldInput, Tag("field")] | Annotated[Literal["everyone"], Tag("everyone")],
    Discriminator(lambda value: "everyone" if isinstance(value, str) else "field"),
]
"""The entities among whose numbers a number is placed."""

PeerNumber = Annotated[
    _Numeric | Annotated[Ratio, Tag("ratio")] | Annotated[CalculationInput, Tag("calculation")],
    _choice((*NUMERIC_WORDS, "ratio", "calculation"), "a number"),
]
"""A number that can be placed among those of peers."""

Input = Annotated[
    _Numeric
    | Annotated[Ratio, Tag("ratio")]
    | Annotated[CalculationInput, Tag("calculation")]
    | Annotated[PeerPercentile, Tag("peer_percentile")]
    | Annotated[TimesPeerMedian, Tag("times_peer_median")]
    | Annotated[TagInput, Tag("tag")]
    | Annotated[ScreeningInput, Tag("screening")]
    | Annotated[Linked, Tag("linked")]
    | Annotated[Pattern, Tag("pattern")],
    _choice((*PLAIN_INPUTS, "pattern"), "an input"),
]
"""Any input of a rule."""


def input_key(rule_input: LanguageModel) -> str:
    """Return the key of an input: the same text for the same input, anywhere in a ruleset.

    >>> input_key(FieldInput(field="country"))
    '{"field":"country"}'
    """
    return json.dumps(
        rule_input.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=True, separators=(",", ":")
    )


def distinct(inputs: Iterable[LanguageModel]) -> list[LanguageModel]:
    """List inputs, each once, in the order of their first appearance."""
    return list({input_key(each): each for each in inputs}.values())


class RuleOperators(Operators):
    """Comparisons of one value; where several are given, all of them must hold."""

    equals: "Compared | None" = None
    not_equals: "Compared | None" = None
    above: "Compared | None" = None
    at_least: "Compared | None" = None
    below: "Compared | None" = None
    at_most: "Compared | None" = None


class OwnTest(RuleOperators):
    """A test of the rule's own input."""


class All(LanguageModel):
    """True if all hold, false if one fails, otherwise unknown."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1)]


class Any_(LanguageModel):  # noqa: N801 (Python keeps the word for itself)
    """True if one holds, false if all fail, otherwise unknown."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1)]


class Not(LanguageModel):
    """True if it fails, false if it holds, unknown if it is unknown."""

    negated: "Condition" = Field(alias="not")


def test_of(form: type[LanguageModel], operators: type[Operators], prefix: str, module: str) -> type[Operators]:
    """Build the form of a test that names its input, of one kind; *module* defines the names in both forms."""
    test = create_model(
        f"{prefix}{form.__name__}Test",
        __base__=(form, operators),
        __doc__=f"A test. {form.__doc__}",
        __module__=module,
    )
    return cast("type[Operators]", test)


TESTS: dict[str, type[Operators]] = {
    word: test_of(form, RuleOperators, "", __name__) for word, form in PLAIN_INPUTS.items()
}
"""The form of a test that names its input, by the input's word."""

JOINS: dict[str, type[LanguageModel]] = {"all": All, "any": Any_, "not": Not}


def any_of(joins: Mapping[str, type[LanguageModel]], tests: Mapping[str, type[Operators]]) -> Any:
    """Build the type of a condition from the forms of joins and of tests, each by its word."""

    def form(value: Any) -> str | None:
        if isinstance(value, str):
            return "word"
        if isinstance(value, Not):
            return "not"
        return word_of(value, (*joins, *tests)) or ("own" if isinstance(value, dict | OwnTest) else None)

    forms = [
        Annotated[form_of_word, Tag(word)] for word, form_of_word in (*joins.items(), *tests.items(), ("own", OwnTest))
    ]
    return Annotated[
        reduce(or_, forms, Annotated[Literal["present", "absent"], Tag("word")]),
        Discriminator(
            form,
            custom_error_type="condition",
            custom_error_message="is not a condition; write present, absent, a comparison such as {at_least: 3}, one "
            "of a named input such as {field: kind, equals: person}, or all, any or not",
        ),
    ]


if TYPE_CHECKING:
    Condition: TypeAlias = Any
else:
    Condition = TypeAliasType("Condition", any_of(JOINS, TESTS))
"""Any condition; `present` and `absent` alone test the rule's own input. Forms refer to it by the name of the alias."""

COMPARED_WORDS = (*NUMERIC_WORDS, "calculation")
"""The words of the inputs that others can be compared with."""

if TYPE_CHECKING:
    Compared: TypeAlias = Any
else:
    Compared = compared_with({word: PLAIN_INPUTS[word] for word in COMPARED_WORDS})
"""The other side of a comparison: a constant, or one of these inputs."""

Peers.model_rebuild(_types_namespace={"PeerNumber": PeerNumber, "PeerGroup": PeerGroup})
# All other forms are completed at first use: each keeps a schema of all the others.


def input_of_test(test: Operators) -> LanguageModel | None:
    """Return the input that a test names; None if it tests the rule's own."""
    form: Any = type(test).__bases__[0]  # as `test_of` made it
    if issubclass(form, Operators):
        return None
    return cast("LanguageModel", form.model_construct(**{name: getattr(test, name) for name in form.model_fields}))


def inputs_compared(test: Operators) -> Iterator[tuple[str, LanguageModel]]:
    """Yield the inputs that a test compares its subject with, each with its operator."""
    for operator, value in test.comparisons():
        if operator in INPUT_OPERATORS and isinstance(value, LanguageModel):
            yield operator, value


def branches(condition: Any) -> tuple[Any, ...]:
    """Return the conditions in a join; () for a test."""
    if isinstance(condition, All):
        return condition.all
    if isinstance(condition, Any_):
        return condition.any
    return (condition.negated,) if isinstance(condition, Not) else ()


def tests_in(condition: Any) -> Iterator[Operators]:
    """Yield every test in a condition, in the order written; `present` alone is a test as well."""
    if isinstance(condition, Operators):
        yield condition
    elif isinstance(condition, str):
        yield OwnTest.model_validate({"is": condition})
    for part in branches(condition):
        yield from tests_in(part)
