"""Checks for faults that make a ruleset unusable: in names, levels, weights, and tests that do not fit their input."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fivefold.domain.segments import SEGMENTS
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.locations import Location, places_in, tests_at, with_linked_inputs, word_at
from fivefold.risk.compiler.units import comparison_problem
from fivefold.risk.compiler.value_types import (
    NUMERIC_TYPES,
    SOURCES,
    UnknownNameError,
    Vocabulary,
    level_number,
    linked_source,
    misfit,
    ordinal,
    value_type_of_input,
    value_type_phrase,
)
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import (
    FieldInput,
    Linked,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    input_of_test,
)
from fivefold.risk.language.fields import (
    CASE_FIELDS,
    COUNTRIES,
    MONEY_FIELDS,
    TRANSACTION_FIELDS,
    Definition,
    FieldType,
    OneOf,
    ValueType,
    described,
    value_type_of,
)
from fivefold.risk.language.messages import name_phrase
from fivefold.risk.language.operators import INPUT_OPERATORS, OPERATOR_KINDS, Operators
from fivefold.risk.language.policy import SOURCES_OF_LEVELS, STATUSES, LevelInput, Policy, StepInput, TransactionInput
from fivefold.risk.language.ruleset import (
    LevelName,
    Outcome,
    PointsScore,
    Rule,
    Ruleset,
    TiersScore,
    Weighted,
    WeightedScore,
)

_BY_VALUE = frozenset({*INPUT_OPERATORS, "between", "outside", "in", "not_in"})
"""Operators that compare with values of the subject's own kind; the others take operands of their own."""


def literal_diagnostics(
    path: Path, operator: str, value: Any, kind: ValueType, declared: FieldType | None
) -> Iterator[Diagnostic]:
    """Find what does not fit in one comparison; its operator was already checked to fit the kind."""
    several = isinstance(value, tuple)
    values = value if several else (value,)
    if operator not in _BY_VALUE and not (operator == "contains_any" and kind is ValueType.TEXTS):
        return
    for number, one in enumerate(values):
        at = (*path, number) if several else path
        problem = misfit(kind, one) if kind is not ValueType.TEXTS else None
        problem = problem or (_impossible(one, kind, declared) if kind in {ValueType.TEXT, ValueType.LEVEL} else None)
        if problem is not None:
            yield Diagnostic(at, problem)
            return
    names = declared.one_of if isinstance(declared, OneOf) else ()
    if operator in {"between", "outside"} and ordinal(kind, value[0], names) > ordinal(kind, value[1], names):
        yield Diagnostic(path, f"runs from {value[0]} to {value[1]}; the lower end comes first")


def is_missing_text(text: str, subject: Any, declared: FieldType | None, source: str | None) -> bool:
    """Check whether a text, or a word of a list, counts as missing in an input, as empty text does.

    So does text of spaces alone in an entity's field, and in a list. Outputs of a flow's steps never count as missing.
    """
    if isinstance(subject, StepInput) or declared is None:
        return False
    is_entity_text = declared == "text" and isinstance(subject, FieldInput) and source is None
    spaces_count = is_entity_text or value_type_of(declared) is ValueType.TEXTS
    return not (text.strip() if spaces_count else text)


def missing_text_diagnostics(
    inputs: Iterable[tuple[Path, LanguageModel]], conditions: Iterable[Location], names: Vocabulary
) -> Iterator[Diagnostic]:
    """Find comparisons with a text that no value can equal, as it counts as missing.

    Earlier releases accepted them, and their stored versions keep their meaning; so only new drafts are refused.
    """
    places = [place for path, each in with_linked_inputs(inputs) for place in places_in(path, each)]
    for place in (*places, *conditions):
        for path, test in tests_at(place):
            yield from _missing_texts(path, test, place, names)


def _missing_texts(path: Path, test: Operators, place: Location, names: Vocabulary) -> Iterator[Diagnostic]:
    subject: Any = input_of_test(test) or place.own
    declared = type_of(subject, place, names)
    if declared is None or (place.source is not None and not isinstance(subject, FieldInput)):
        return
    kind = value_type_at(subject, place, names)
    for operator, value in test.comparisons():
        at = (*path, operator)
        if kind not in OPERATOR_KINDS[operator] or (operator not in _BY_VALUE and kind is not ValueType.TEXTS):
            continue  # text may begin with a space, or contain one
        if any(True for _ in literal_diagnostics(at, operator, value, kind, declared)):
            continue
        for number, one in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(one, str) and is_missing_text(one, subject, declared, place.source):
                instead = _INSTEAD_OF_MISSING_TEXT.get(operator, "leave it out")
                problem = f"compares with {one!r}, which counts as missing, so that no value is it; {instead}"
                yield Diagnostic((*at, number) if isinstance(value, tuple) else at, problem)
                break


_INSTEAD_OF_MISSING_TEXT = {
    "equals": "ask {is: absent} where missing values are meant",
    "not_equals": "ask {is: present} where every value that is there is meant",
}


def _impossible(value: Any, kind: ValueType, declared: FieldType | None) -> str | None:
    if kind is ValueType.LEVEL and isinstance(declared, OneOf):
        names = declared.one_of
        no_level = f"there is no level {value}; there are {', '.join(names)} (1 to {len(names)}){perhaps(value, names)}"
        return no_level if level_number(value, names) is None else None
    if isinstance(declared, OneOf) and value not in declared.one_of:
        choices, near = ", ".join(declared.one_of), perhaps(value, declared.one_of)
        return f"compares with {value!r}, which it can never be; it is one of {choices}{near}"
    if declared == "country" and value not in COUNTRIES:
        written_country = described(value) if described(value) != value else repr(value)
        return f"compares a country with {written_country}; write two capital letters (ISO 3166 alpha-2), such as NO"
    return None


def type_diagnostics(
    inputs: Iterable[tuple[Path, LanguageModel]], conditions: Iterable[Location], names: Vocabulary
) -> Iterator[Diagnostic]:
    """Find inputs that name something unknown, and tests that do not fit their subject."""
    for path, rule_input in with_linked_inputs(inputs):
        try:
            value_type_of_input(rule_input, names)
        except UnknownNameError as wrong:
            yield Diagnostic(word_at(path, rule_input), str(wrong))
        for place in places_in(path, rule_input):
            yield from condition_diagnostics(place, names)
    for place in conditions:
        yield from condition_diagnostics(place, names)


def condition_diagnostics(place: Location, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find the faults of a condition's tests."""
    for path, test in tests_at(place):
        subject = input_of_test(test)
        if place.source is not None and not isinstance(subject, FieldInput):
            declared = ", ".join(names.linked(place.source))
            yield Diagnostic(path, f"must test a field of {place.source}, as {{field: ...}} does; there are {declared}")
        elif subject is None and place.own is None:
            yield Diagnostic(
                path, "compares nothing: there is no input here; name one, as in {field: country, equals: NO}"
            )
        else:
            yield from _test_diagnostics(path, test, place, names)


def _test_diagnostics(path: Path, test: Operators, place: Location, names: Vocabulary) -> Iterator[Diagnostic]:
    subject: Any = input_of_test(test) or place.own
    declared = type_of(subject, place, names)
    try:
        kind = value_type_at(subject, place, names)
    except UnknownNameError as wrong:
        if place.source is not None:  # all other inputs are checked by themselves
            yield Diagnostic(word_at(path, subject), str(wrong))
        return
    for operator, value in test.comparisons():
        at = path if operator == "is" else (*path, operator)
        if kind not in OPERATOR_KINDS[operator]:
            fit = ", ".join(word for word, kinds in OPERATOR_KINDS.items() if kind in kinds)
            yield Diagnostic(at, f"the operator does not apply to {value_type_phrase(kind)}; these do: {fit}")
        elif isinstance(value, LanguageModel) and operator in INPUT_OPERATORS:
            yield from _compared_diagnostics(at, (subject, value), kind, place, names)
        else:
            misfits = literal_diagnostics(at, operator, value, kind, declared)
            yield from (_with_name(fault, operator, value, place, names) for fault in misfits)


def _with_name(fault: Diagnostic, operator: str, value: Any, place: Location, names: Vocabulary) -> Diagnostic:
    """Add how to write an input, if a condition compares with its bare name."""
    fields = names.entity if place.source is None else names.linked(place.source)
    there = {"field": fields, "calculation": {} if place.source is not None else names.calculations}
    word = next((word for word, declared in there.items() if isinstance(value, str) and value in declared), None)
    if word is None or operator not in INPUT_OPERATORS:
        return fault
    problem, _, _ = fault.problem.partition("; ")
    return replace(fault, problem=f"{problem}; {name_phrase(word, value)}")


def _compared_diagnostics(
    path: Path, inputs: tuple[Any, Any], kind: ValueType, place: Location, names: Vocabulary
) -> Iterator[Diagnostic]:
    """Find the faults of a comparison with another input."""
    other = inputs[1]
    if place.source is not None and not isinstance(other, FieldInput):
        yield Diagnostic(path, f"must be compared with a value, or with another field of {place.source}")
        return
    try:
        other_kind = value_type_at(other, place, names)
    except UnknownNameError as wrong:
        if place.source is not None:
            yield Diagnostic(word_at(path, other), str(wrong))
        return
    problem = comparison_problem(*inputs, (kind, other_kind), names, linked=place.source is not None)
    if problem is not None:
        yield Diagnostic(path, problem)


def value_type_at(subject: Any, place: Location, names: Vocabulary) -> ValueType:
    """Return the value type of a test's subject at its place.

    Raises:
        UnknownNameError: the subject names something unknown.
    """
    if place.source is None:
        return value_type_of_input(subject, names)
    fields = names.linked(place.source)
    if subject.field not in fields:
        declared = ", ".join(fields)
        near = perhaps(subject.field, fields)
        raise UnknownNameError(
            f"names the field {subject.field}, which {place.source} do not have{near}; declared are {declared}"
        )
    if place.source == "transactions" and subject.field in MONEY_FIELDS:
        return ValueType.MONEY
    return value_type_of(fields[subject.field])


def type_of(subject: Any, place: Location, names: Vocabulary) -> FieldType | None:
    """Find the declared type of a test's subject; None if it has none."""
    if isinstance(subject, ValueInput) and subject.value == "segment":
        return OneOf(one_of=SEGMENTS)
    if isinstance(subject, LevelInput):
        words = {"status": STATUSES, "source": SOURCES_OF_LEVELS, "age_days": None}.get(subject.level, names.levels)
        return None if words is None else OneOf(one_of=words)
    if isinstance(subject, TransactionInput):
        return names.transaction.get(subject.transaction)
    if isinstance(subject, StepInput):
        output = names.outputs.get(subject.step, {}).get(subject.output)
        return OneOf(one_of=output.choices) if output is not None and output.choices else None
    if not isinstance(subject, FieldInput):
        return None
    fields = names.entity if place.source is None else names.linked(place.source)
    return fields.get(subject.field)


TAKEN: dict[str, frozenset[str]] = {
    "fields": frozenset(
        {"entity_id", "as_of", "known_at", *SOURCES, "screening", "indicators", "value", "values", "previous"}
    ),
    "transaction_fields": frozenset(
        {*TRANSACTION_FIELDS, "entity", "entity_id", "user_id", "original_amount", "original_signed_amount"}
    ),
    "case_fields": frozenset({*CASE_FIELDS, "entity", "entity_id", "opened"}),
}
"""Reserved names of fields, which have a meaning already."""


def structure_diagnostics(ruleset: Ruleset, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find faults between the parts of a ruleset; each part alone was validated when it was read."""
    yield from taken_names(ruleset)
    yield from twice(("rules",), [rule.id for rule in ruleset.rules], "rule")
    yield from twice(("levels",), ruleset.levels, "level")
    yield from _optional_fields(ruleset)
    if isinstance(ruleset.score, PointsScore):
        yield from _cuts(("score", "points", "thresholds"), ruleset.score.points.thresholds, ruleset)
    elif isinstance(ruleset.score, TiersScore):
        yield from _tiers(ruleset.score, ruleset)
    else:
        yield from _cuts(("score", "weighted", "bands"), ruleset.score.weighted.bands, ruleset)
    for position, rule in enumerate(ruleset.rules):
        yield from _floors(("rules", position), rule, ruleset)
        yield from _signal(("rules", position), rule, names)
        yield from _changeable(("rules", position), rule, names)


def _optional_fields(ruleset: Ruleset) -> Iterator[Diagnostic]:
    """Find optional transaction fields that the ruleset does not declare."""
    declared = ruleset.transaction_fields
    for number, name in enumerate(ruleset.optional_transaction_fields):
        if name not in declared:
            problem = f"{name} is not under transaction_fields; there are {', '.join(declared) or 'none'}"
            yield Diagnostic(("optional_transaction_fields", number), f"{problem}{perhaps(name, declared)}")


def policy_structure_diagnostics(policy: Policy) -> Iterator[Diagnostic]:
    """Find faults between the parts of a policy."""
    yield from taken_names(policy)
    yield from twice(("rules",), [rule.id for rule in policy.rules], "rule")
    yield from twice(("levels",), policy.levels, "level")
    yield from twice(("actions",), policy.actions, "action")
    for path, action in actions_at(policy):
        if action not in policy.actions:
            yield Diagnostic(path, f"there is no action {action}; there are {', '.join(policy.actions)}")


def actions_at(policy: Policy) -> Iterator[tuple[Path, str]]:
    """Yield every action of a policy, with its path."""
    for position, rule in enumerate(policy.rules):
        yield ("rules", position, "action"), rule.action
        if rule.on_unknown is not None:
            yield ("rules", position, "on_unknown"), rule.on_unknown
    yield ("otherwise",), policy.otherwise


def taken_names(definition: Definition) -> Iterator[Diagnostic]:
    """Find declared fields with reserved names."""
    for part, reserved in TAKEN.items():
        for name in getattr(definition, part):
            if name in reserved:
                yield Diagnostic((part, name), f"{name} already has a meaning; choose another name")


def twice(path: Path, names: Sequence[str], what: str) -> Iterator[Diagnostic]:
    """Find repeated names."""
    counts: Counter[str] = Counter()
    for number, name in enumerate(names):
        counts[name] += 1
        if counts[name] > 1:
            yield Diagnostic((*path, number), f"there is a {what} {name} already; each has a name of its own")


def _cuts(path: Path, cuts: Sequence[Decimal], ruleset: Ruleset) -> Iterator[Diagnostic]:
    needed = len(ruleset.levels) - 1
    if len(cuts) != needed:
        yield Diagnostic(path, f"has {len(cuts)} numbers; {len(ruleset.levels)} levels need {needed}")
    for number, (lower, upper) in enumerate(pairwise(cuts), 1):
        if upper <= lower:
            yield Diagnostic((*path, number), f"is {upper}, which is not above the {lower} before it")


def _tiers(score: TiersScore, ruleset: Ruleset) -> Iterator[Diagnostic]:
    for number, tier in enumerate(score.tiers):
        path: Path = ("score", "tiers", number)
        yield from _level((*path, "level"), tier.level, ruleset)
        if tier.min is not None and tier.max is not None and tier.min > tier.max:
            yield Diagnostic(path, f"runs from {tier.min} to {tier.max}; min comes first")


def _floors(path: Path, rule: Rule, ruleset: Ruleset) -> Iterator[Diagnostic]:
    for at, outcome in outcomes_with_paths(rule):
        if outcome.floor is not None:
            yield from _level((*path, *at, "floor"), outcome.floor, ruleset)


def _level(path: Path, level: LevelName, ruleset: Ruleset) -> Iterator[Diagnostic]:
    try:
        ruleset.level_number(level)
    except KeyError:
        levels = ", ".join(ruleset.levels)
        near = perhaps(level, ruleset.levels)
        yield Diagnostic(path, f"there is no level {level}; there are {levels} (1 to {len(ruleset.levels)}){near}")


def outcomes_with_paths(rule: Rule) -> Iterable[tuple[Path, Outcome]]:
    """Return every outcome of a rule, with its path."""
    outcomes: list[tuple[Path, Outcome]] = [(("cases", number), case) for number, case in enumerate(rule.cases)]
    outcomes.append((("otherwise",), rule.otherwise))
    if rule.on_unknown is not None:
        outcomes.append((("on_unknown",), rule.on_unknown))
    return outcomes


def _signal(path: Path, rule: Rule, names: Vocabulary) -> Iterator[Diagnostic]:
    if rule.decay is None:
        return
    signal = rule.decay.signal or rule.input
    if signal is None or not _has_moment(signal, names):
        at = (*path, "decay") if rule.decay.signal is None else (*path, "decay", "signal")
        signals = "an aggregate, a date field, or a rule whose input is one of these or a pattern"
        yield Diagnostic(at, f"needs a signal that has a time: {signals}")


def _has_moment(signal: Any, names: Vocabulary) -> bool:
    if isinstance(signal, Window):
        return linked_source(signal) in SOURCES
    if isinstance(signal, FieldInput):
        try:
            return value_type_of_input(signal, names) is ValueType.MOMENT
        except UnknownNameError:
            return True  # the input has a diagnostic of its own
    return hasattr(signal, "pattern")


ORDERED_TYPES = NUMERIC_TYPES | {ValueType.MOMENT}
"""Kinds of values that can go up and down."""


def _changeable(path: Path, rule: Rule, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find inputs that the person concerned cannot change, and values that cannot go up and down."""
    if rule.changeable is None:
        return
    at, own = (*path, "changeable"), rule.input
    if own is None:
        yield Diagnostic(at, "needs an input of the rule: it names what a person can change about it")
        return
    others = isinstance(own, TagInput | ScreeningInput | ValueInput)
    if others or (isinstance(own, Window) and linked_source(own) in set(SOURCES) - {"transactions"}):
        reason = "others set tags, screenings, cases, alerts and the value"
        yield Diagnostic(at, f"is not possible for this input, which no person can change: {reason}")
        return
    if isinstance(own, Linked):
        yield Diagnostic(at, "is not possible for this input: it is computed from data of other people")
        return
    if isinstance(own, Window) and own.ending is not None:
        yield Diagnostic(at, "is not possible for a window that ends in the past, which no person can change")
        return
    try:
        kind = value_type_of_input(own, names)
    except UnknownNameError:
        return  # the input has a diagnostic of its own
    if rule.changeable != "either" and kind not in ORDERED_TYPES:
        yield Diagnostic(
            at, f"is {rule.changeable}, and {value_type_phrase(kind)} goes neither up nor down; write either"
        )


LEAST, MOST = 1, 100
"""The least and the greatest score of a factor."""

_WEIGHTS: Path = ("score", "weighted", "weights")


def weight_diagnostics(ruleset: Ruleset) -> Iterator[Diagnostic]:
    """Find factors without a score, columns without a factor, and choices without a column."""
    if not isinstance(ruleset.score, WeightedScore):
        return
    weighted = ruleset.score.weighted
    factors = dict.fromkeys(name for column in weighted.weights.values() for name in column)
    rules = {rule.id: number for number, rule in enumerate(ruleset.rules)}
    for column, weights in weighted.weights.items():
        for name in weights:
            if name not in rules:
                yield Diagnostic((*_WEIGHTS, column, name), f"there is no rule {name}{perhaps(name, rules)}")
        for name in factors:
            if name not in weights:
                yield Diagnostic(
                    (*_WEIGHTS, column), f"lacks the factor {name}, which other columns have; its weight may be 0"
                )
    yield from _choices(weighted)
    for position, rule in enumerate(ruleset.rules):
        yield from _factor(("rules", position), rule) if rule.id in factors else _other(("rules", position), rule)


def _choices(weighted: Weighted) -> Iterator[Diagnostic]:
    for number, choice in enumerate(weighted.weights_by):
        if choice.use not in weighted.weights:
            columns = ", ".join(weighted.weights)
            yield Diagnostic(
                ("score", "weighted", "weights_by", number, "use"),
                f"there is no column {choice.use}; there are {columns}",
            )


def _factor(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    for at, outcome in outcomes_with_paths(rule):
        if outcome.points is None:
            missing = "needs an otherwise with points" if at == ("otherwise",) else "gives no points"
            yield Diagnostic((*path, *at), f"is a factor of a weighted score and {missing}, {LEAST} to {MOST}")
        elif not LEAST <= outcome.points <= MOST:
            yield Diagnostic((*path, *at, "points"), f"is {outcome.points}; a factor scores {LEAST} to {MOST}")


def _other(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    for at, outcome in outcomes_with_paths(rule):
        if outcome.points:
            without = "has no weight in any column, so its points would count for nothing"
            yield Diagnostic((*path, *at, "points"), f"{without}; give it a weight, or a floor alone")
