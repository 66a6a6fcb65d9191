"""Names inputs and conditions for the person whom they are about; for investigators `describe` names them.

Inputs without words of their own here keep those for investigators. A ruleset's lists and texts are in quotes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any, Final

from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.value_types import SOURCES, column_of, linked_source
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.engine.explain.formulas import number_words
from fivefold.risk.facts.peers import peers_in
from fivefold.risk.language.expressions import (
    All,
    Any_,
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    IndicatorInput,
    Largest,
    Least,
    Linked,
    LinkedGroup,
    Mean,
    Median,
    Most,
    New,
    Not,
    Percentile,
    Ratio,
    ScreeningInput,
    Share,
    StandardDeviation,
    Sum,
    TagInput,
    ValueInput,
    Window,
    input_of_test,
    tests_in,
)
from fivefold.risk.language.fields import MONEY_FIELDS
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)
from fivefold.risk.language.peers import PeerPercentile, TimesPeerMedian

NOT_KNOWN: Final = "not known"
_CASH: Final = ("operation", "cash")
"""The field and text by which the shipped rulesets and `docs/rules.md` select cash."""

_PAYMENTS: Mapping[str | None, str] = {None: "payment", "deposit": "deposit", "withdrawal": "withdrawal"}
_MOVED: Mapping[str | None, str] = {
    None: "{} moved through your account",
    "deposit": "{} you paid in",
    "withdrawal": "{} you took out",
}
_FACTS: Mapping[str, tuple[str, str]] = {
    "cases": ("case", "about you"),
    "alerts": ("alert", "about you"),
    "tags": ("tag", "on you"),
    "screenings": ("check", "of you"),
}
_STATISTICS: Mapping[type, str] = {
    Mean: "average {field} of {facts}",
    Least: "smallest {field} of {facts}",
    Most: "largest {field} of {facts}",
    Distinct: "number of different values of {field} among {facts}",
    New: "number of values of {field} that are new among {facts}",
    Median: "middle {field} of {facts}",
    StandardDeviation: "how far {field} differs from its average among {facts}",
    Percentile: "{field} that {percentile} % of {facts} do not exceed",
    Largest: "the {n} largest of {field} among {facts}, together",
    Sum: "sum of {field} of {facts}",
}
_VALUES_OF_MODEL: Mapping[str, str] = {
    "score": "score of your expected value, from 1 to 5",
    "segment": "segment by expected value",
    "expected_value": "expected value",
    "expected_value_low": "lower end of the expected value",
    "expected_value_high": "upper end of the expected value",
}
_GROUPS: Mapping[str, str] = {
    "sum": "sum of {0} among {1}",
    "mean": "average {0} among {1}",
    "min": "smallest {0} among {1}",
    "max": "largest {0} among {1}",
}
_PHRASES: Mapping[str, str] = {
    "equals": "{}",
    "not_equals": "other than {}",
    "above": "above {}",
    "at_least": "of at least {}",
    "below": "below {}",
    "at_most": "of at most {}",
    "in": "{}",
    "not_in": "other than {}",
    "starts_with": "that starts with {}",
    "ends_with": "that ends with {}",
    "contains": "that contains {}",
    "contains_any": "that contains {}",
}
MARKS: Mapping[type, tuple[str, str]] = {
    TagInput: ("not given", "given"),
    ScreeningInput: ("nothing found", "something found"),
}
"""The words for a mark that is absent, and for one that is present."""


@dataclass(frozen=True)
class PersonalWording:
    """The settings of the words for a person, apart from the input.

    Attributes:
        currency: the currency of money that names none.
        lists: the titles of named lists, by their names; a list without a title is called by its name.
    """

    currency: str
    lists: Mapping[str, str] = field(default_factory=dict)

    def of(self, currency: str | None) -> "PersonalWording":
        """Return this wording with another currency, if one is named."""
        return self if currency is None else replace(self, currency=currency)

    def list_words(self, name: str) -> str:
        """Name a list."""
        return _quoted(self.lists.get(name) or name)


def _spaced(name: str) -> str:
    words = name.replace("_", " ")
    return words if not words.startswith("counterparty ") else f"the other side's {words.removeprefix('counterparty ')}"


def _quoted(name: str) -> str:
    return f"'{name}'"


def person_name(rule_input: Any, wording: PersonalWording) -> str:
    """Name an input for the person whom it is about; *wording* has the currency and list titles.

    >>> person_name(Sum(sum="amount", where=None, over="180 days"), PersonalWording("EUR"))
    'what moved through your account, in the last 180 days'
    """
    if isinstance(rule_input, DaysSince) and rule_input.days_since not in SOURCES:
        return f"days since {_spaced(rule_input.days_since)}"
    if isinstance(rule_input, Window):
        return f"{_facts_words(rule_input, wording)}{_period(rule_input)}"
    name = _NAMES.get(type(rule_input))
    return input_words(rule_input) if name is None else name(rule_input, wording)


def _period(window: Window) -> str:
    if window.over is None:
        when = "" if window.ending is None else f", until {window.ending} ago"
    elif window.ending is None:
        when = f", in the last {window.over}"
    else:
        when = f", in the {window.over} until {window.ending} ago"
    return when if window.in_currency is None else f"{when}, in {window.in_currency} alone"


@dataclass(frozen=True)
class _Facts:
    """Facts selected by a condition, with direction and cash, which have words of their own, apart from the rest."""

    direction: str | None
    in_cash: bool
    rest: tuple[Any, ...]

    @classmethod
    def of(cls, parts: Sequence[Any], source: str = "transactions") -> "_Facts":
        """Split the parts of a condition that must all hold; for facts other than transactions all are the rest."""
        if source != "transactions":
            return cls(None, in_cash=False, rest=tuple(parts))
        pairs = [_pair(part) for part in parts]
        first = next(
            (pair for pair in pairs if pair is not None and pair[0] == "direction" and pair[1] in _MOVED), None
        )
        rest = (part for part, pair in zip(parts, pairs, strict=True) if pair is None or pair not in {_CASH, first})
        return cls(None if first is None else first[1], _CASH in pairs, tuple(rest))

    def moved(self, wording: PersonalWording) -> str:
        """Name the money of transactions."""
        what = "cash that" if self.in_cash else "what"
        return f"{_MOVED[self.direction].format(what)}{_with(self.rest, wording)}"

    def counted(self, source: str, wording: PersonalWording, *, latest: bool = False) -> str:
        """Name the facts themselves, or the latest one."""
        noun, about = _FACTS.get(source, (_PAYMENTS[self.direction], ""))
        cash = "cash " if self.in_cash else ""
        own = f"{cash}{noun if latest else f'{noun}s'} {about}".strip()
        whose = ("the latest " if latest else "") if about else ("your latest " if latest else "your ")
        return f"{whose}{own}{_with(self.rest, wording)}"


def _pair(part: Any) -> tuple[str, str] | None:
    """Return the field and the text of a condition that a field equals a text; None for any other condition."""
    if not isinstance(part, Operators):
        return None
    subject, comparisons = input_of_test(part), list(part.comparisons())
    if not isinstance(subject, FieldInput) or len(comparisons) != 1:
        return None
    ((operator, value),) = comparisons
    return (subject.field, value) if operator == "equals" and isinstance(value, str) else None


def _parts(condition: Any) -> tuple[Any, ...]:
    """Return the parts of a condition that must all hold."""
    if isinstance(condition, All):
        return tuple(part for each in condition.all for part in _parts(each))
    return () if condition is None else (condition,)


def _facts_words(window: Window, wording: PersonalWording) -> str:
    source, field, parts = linked_source(window), column_of(window), _parts(window.where)
    facts, wording = _Facts.of(parts, source), wording.of(window.in_currency)
    if isinstance(window, Share):
        whole = _Facts.of(()).counted(source, wording) if field is None else _Facts.of(()).moved(wording)
        if field not in {None, "amount"}:
            whole = f"{_spaced(str(field))} of your payments"
        return _share_words(facts, whole, wording)
    if isinstance(window, Count):
        return facts.counted(source, wording)
    if isinstance(window, DaysSince):
        return f"days since {facts.counted(source, wording, latest=True)}"
    if isinstance(window, Sum) and field == "amount":
        return facts.moved(wording)
    numbers = {word: getattr(window, word) for word in ("percentile", "n") if hasattr(window, word)}
    words = {"field": _spaced(str(field)), "facts": facts.counted("transactions", wording)}
    return _STATISTICS[type(window)].format(**words, **numbers)


def _with(parts: Sequence[Any], wording: PersonalWording) -> str:
    return f" with {_all_words(parts, wording)}" if parts else ""


def _all_words(parts: Sequence[Any], wording: PersonalWording) -> str:
    words = [_condition_words(part, wording) for part in parts]
    return " and ".join(
        f"({each})" if isinstance(part, Any_) and len(parts) > 1 else each
        for part, each in zip(parts, words, strict=True)
    )


def _condition_words(condition: Any, wording: PersonalWording) -> str:
    if isinstance(condition, All):
        return _all_words(condition.all, wording)
    if isinstance(condition, Not):
        return f"not ({_condition_words(condition.negated, wording)})"
    if isinstance(condition, Any_):
        return _any_words(condition.any, wording)
    if not isinstance(condition, Operators):  # the word present or absent alone
        return "known" if condition == "present" else NOT_KNOWN
    return " ".join(_test_words(condition, wording))


def _any_words(parts: Sequence[Any], wording: PersonalWording) -> str:
    tests = [_test_words(part, wording) if isinstance(part, Operators) else None for part in parts]
    names = {None if test is None else test[0] for test in tests}
    if len(names) == 1 and None not in names:
        return f"{names.pop()} {' or '.join(test[1] for test in tests if test is not None)}"
    words = [_condition_words(part, wording) for part in parts]
    return " or ".join(f"({each})" if isinstance(part, All) else each for part, each in zip(parts, words, strict=True))


def _test_words(test: Operators, wording: PersonalWording) -> tuple[str, str]:
    """Return the name of a test's subject, and the words of its comparisons."""
    subject = input_of_test(test)
    is_money = isinstance(subject, FieldInput) and subject.field in MONEY_FIELDS

    def literal(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, Decimal):
            return f"{number_words(value)} {wording.currency}" if is_money else number_words(value)
        return _quoted(value) if isinstance(value, str) else person_name(value, wording)

    words = [_phrase(operator, value, subject, literal, wording) for operator, value in test.comparisons()]
    return "it" if subject is None else person_name(subject, wording), " and ".join(words)


def _phrase(operator: str, value: Any, subject: Any, literal: Callable[[Any], str], wording: PersonalWording) -> str:
    if operator == "is":
        absent, present = MARKS.get(type(subject), (NOT_KNOWN, "known"))
        return present if value == "present" else absent
    if isinstance(value, Fuzzy):
        return (
            f"like {_quoted(value.to)}" if value.to else f"like one on the list {wording.list_words(str(value.list))}"
        )
    if operator in {"in_list", "not_in_list"}:
        return f"{'' if operator == 'in_list' else 'not '}on the list {wording.list_words(value)}"
    if operator in {"between", "outside"}:
        return f"{'from' if operator == 'between' else 'outside'} {literal(value[0])} to {literal(value[1])}"
    return _PHRASES[operator].format(" or ".join(map(literal, value if isinstance(value, tuple) else (value,))))


def _share_words(facts: _Facts, whole: str, wording: PersonalWording) -> str:
    """Name the part of a whole that meets further conditions."""
    if facts == _Facts(None, in_cash=True, rest=()):
        return f"cash among {whole}"
    out_or_in = {None: "", "deposit": " that you paid in", "withdrawal": " that you took out"}[facts.direction]
    return f"part{' in cash' if facts.in_cash else ''}{_with(facts.rest, wording)}{out_or_in} of {whole}"


def _ratio_name(ratio: Ratio, wording: PersonalWording) -> str:
    over, under = ratio.ratio
    extra = part_of_whole(ratio)
    if extra is None or not isinstance(under, Window):
        return f"{person_name(over, wording)}, divided by {person_name(under, wording)}"
    whole, facts = _facts_words(under, wording), _Facts.of(extra, linked_source(under))
    return f"{_share_words(facts, whole, wording.of(under.in_currency))}{_period(under)}"


def part_of_whole(ratio: Ratio) -> tuple[Any, ...] | None:
    """Return the first side's further conditions if it is a part of the second, and so a share; otherwise None."""
    over, under = ratio.ratio
    if not isinstance(over, Count | Sum) or not isinstance(under, Count | Sum) or _rest(over) != _rest(under):
        return None
    if isinstance(over, Sum) and over.sum != "amount":  # other numbers can be below 0
        return None
    of_part, of_whole = _parts(over.where), _parts(under.where)
    needed = [each for each in of_whole if not _follows(each, of_part)]
    extra = tuple(each for each in of_part if each not in of_whole)
    is_part = all(each in of_part for each in needed) and not any(map(_speaks_of_state, extra))
    return extra if is_part and extra else None


def _rest(window: Window) -> dict[str, Any]:
    """Return a window's fields without its condition."""
    return window.model_dump(exclude={"where"})


def _follows(part: Any, others: Sequence[Any]) -> bool:
    """Check whether a part only requires a known field, and another part compares that field."""
    if not isinstance(part, Operators) or list(part.comparisons()) != [("is", "present")]:
        return False
    subject = input_of_test(part)
    return any(
        isinstance(each, Operators) and input_of_test(each) == subject and ("is", "absent") not in each.comparisons()
        for each in others
    )


def _speaks_of_state(condition: Any) -> bool:
    """Return whether a condition reads the state of transactions; a total counts settled ones alone."""
    return any(input_of_test(test) == FieldInput(field="state") for test in tests_in(condition))


def _indicator_name(rule_input: IndicatorInput, _wording: PersonalWording) -> str:
    label = labels_and_units().get(rule_input.indicator, ("", ""))[0] or _spaced(rule_input.indicator)
    return label if label[1:2].isupper() else f"{label[:1].lower()}{label[1:]}"


@cache
def labels_and_units() -> Mapping[str, tuple[str, str]]:
    """Return the label and the unit of every indicator."""
    return {each.name: (each.label, each.unit) for each in catalogue().indicators}


def _among(rule_input: Any) -> str:
    group = peers_in(rule_input).group
    return "other customers" if group is None else f"other customers with the same {_spaced(group.field)}"


def _linked_name(group: LinkedGroup, wording: PersonalWording) -> str:
    whom = f"those linked to you by {_quoted(_spaced(group.by))}"
    if group.itself:
        whom += " and you"
    if group.steps > 1:
        whom += f" in up to {group.steps} steps"
    whom += _with(_parts(group.where), wording)
    if group.any is not None:
        return f"one of {whom} has {_condition_words(group.any, wording)}"
    if group.count is not None:
        return f"number of {whom}"
    return _GROUPS[group.word].format(person_name(group.part, wording), whom)


_NAMES: Mapping[type, Callable[[Any, PersonalWording], str]] = {
    FieldInput: lambda each, _: _spaced(each.field),
    CalculationInput: lambda each, _: _spaced(each.calculation),
    Ratio: _ratio_name,
    IndicatorInput: _indicator_name,
    ValueInput: lambda each, _: _VALUES_OF_MODEL[each.value],
    TagInput: lambda each, _: f"tag {_quoted(each.tag)}",
    ScreeningInput: lambda each, _: f"check for {_quoted(each.screening)}",
    PeerPercentile: lambda each, wording: (
        f"part of {_among(each)} who are below you in {person_name(peers_in(each).of, wording)}"
    ),
    TimesPeerMedian: lambda each, wording: (
        f"{person_name(peers_in(each).of, wording)}, compared with the middle one of {_among(each)}"
    ),
    Linked: lambda each, wording: _linked_name(each.linked, wording),
    Structuring: lambda each, wording: (
        f"deposits kept below {number_words(each.threshold)} {wording.currency}, in the last {each.over}"
    ),
    Velocity: lambda each, _: (
        f"payments in your busiest 24 hours, if more than {each.more_than:,} with {each.counterparties:,} others or "
        f"more, in the last {each.over}"
    ),
    PassThrough: lambda each, _: f"deposits that you took out again within {each.within}, in the last {each.over}",
    VolumeDeviation: lambda each, _: (
        f"what moved through your account, compared with {_spaced(each.expected_monthly)}, in the last {each.over}"
    ),
    PurposeDeviation: lambda each, _: (
        f"part of what moved through your account that is outside {_spaced(each.declared)}, in the last {each.over}"
    ),
    DormantThenActive: lambda each, _: (
        f"payments in the last {each.active}, after none for {each.dormant} or longer before"
    ),
    Fan: lambda each, _: (
        f"different others {'who paid you' if each.pattern == 'fan-in' else 'whom you paid'}, in the last {each.over}"
    ),
}
