"""Structure: names that are there once, levels that exist, cuts that rise, decay that has a signal."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fivefold.domain.suggestions import perhaps
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.value_types import SOURCES, UnknownNameError, Vocabulary, linked_source, value_type_of_input
from fivefold.risk.language.documents.reader import Path
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS, ValueType
from fivefold.risk.language.inputs import FieldInput, Window
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.ruleset import Outcome, Rule, Ruleset
from fivefold.risk.language.scoring import LevelName, PointsScore, TiersScore

TAKEN: dict[str, frozenset[str]] = {
    "fields": frozenset(
        {"entity_id", "as_of", "known_at", *SOURCES, "tags", "screening", "indicators", "value", "values", "previous"}
    ),
    "transaction_fields": frozenset(
        {*TRANSACTION_FIELDS, "entity", "entity_id", "user_id", "original_amount", "original_signed_amount"}
    ),
    "case_fields": frozenset({*CASE_FIELDS, "entity", "entity_id", "opened"}),
}
"""Names of fields that have a meaning already."""


def structure_diagnostics(ruleset: Ruleset, names: Vocabulary) -> Iterator[Diagnostic]:
    """Find what no form can tell by itself."""
    yield from taken_names(ruleset)
    yield from twice(("rules",), [rule.id for rule in ruleset.rules], "rule")
    yield from twice(("levels",), ruleset.levels, "level")
    if isinstance(ruleset.score, PointsScore):
        yield from _cuts(("score", "points", "thresholds"), ruleset.score.points.thresholds, ruleset)
    elif isinstance(ruleset.score, TiersScore):
        yield from _tiers(ruleset.score, ruleset)
    else:
        yield from _cuts(("score", "weighted", "bands"), ruleset.score.weighted.bands, ruleset)
    for position, rule in enumerate(ruleset.rules):
        yield from _floors(("rules", position), rule, ruleset)
        yield from _signal(("rules", position), rule, names)


def taken_names(definition: Ruleset | Policy) -> Iterator[Diagnostic]:
    """Find declared fields whose names have a meaning already."""
    for part, reserved in TAKEN.items():
        for name in getattr(definition, part):
            if name in reserved:
                yield Diagnostic((part, name), f"{name} has a meaning already; choose another name")


def twice(path: Path, names: Sequence[str], what: str) -> Iterator[Diagnostic]:
    """Find names that are there more than once."""
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
    """Give everything that a rule can come to, and where it is written."""
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
