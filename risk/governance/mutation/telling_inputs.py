"""Finds inputs that distinguish a changed ruleset from the original; without any, no example can notice the change.

Representative values are tried on the compiled conditions of both, as lint does. Totals are compared with all sums of
the points of a ruleset, for any inputs: a superset of the possible totals.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import polars as pl

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.locations import Location, wheres_in
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import MOST_HALVINGS, CompiledRule, halved
from fivefold.risk.engine.totals import points_of
from fivefold.risk.governance.lint.reachability import LintScope, ReachabilityTrial, try_conditions
from fivefold.risk.governance.mutation.changes import StepChange
from fivefold.risk.governance.mutation.plain_values import given_words, plain_values, values_words
from fivefold.risk.language.documents import Path
from fivefold.risk.language.quantities import text_of
from fivefold.risk.language.ruleset import Rule, WeightedScore

MOST_STEPS = 4_000_000
"""Most steps between the least and the greatest total; if there are more, the result is undecided."""


def points_given(rule: CompiledRule, slot: int | None = None) -> frozenset[int]:
    """Return all points (in units) that a rule can give, halved as often as its decay may.

    Args:
        rule: the rule; the 0 points of a failed rule are included.
        slot: the outcome whose points to return; all without it.
    """
    codes = rule.codes if slot is None else rule.codes[slot : slot + 1]
    points = {points_of(code) for code in codes}
    if rule.signal is None:
        return frozenset(points)
    cases = [points_of(code) for place, code in enumerate(rule.codes[: rule.otherwise]) if slot in {None, place}]
    rows = [(start, times) for start in cases for times in range(MOST_HALVINGS + 1)]
    frame = pl.DataFrame(rows, schema={"points": pl.Int64, "times": pl.Int64}, orient="row")
    return frozenset(points | set(frame.select(halved(pl.col("points"), pl.col("times"))).to_series()))


def sums_of(choices: Iterable[Iterable[int]]) -> list[int] | None:
    """Return every sum of one number from each of several sets, ascending; None if there are too many.

    >>> sums_of([{0, 25}, {-5, 5}])
    [-5, 5, 20, 30]
    """
    sets = [sorted(set(choice)) for choice in choices]
    least = sum(choice[0] for choice in sets)
    offsets = [[number - choice[0] for number in choice] for choice in sets]
    step = gcd(*(offset for choice in offsets for offset in choice)) or 1
    if sum(choice[-1] for choice in offsets) // step > MOST_STEPS:
        return None
    reached = 1  # bit n: a sum of least + n steps
    for choice in offsets:
        shifted = 0
        for offset in choice:
            shifted |= reached << (offset // step)
        reached = shifted
    return [least + place * step for place, bit in enumerate(reversed(f"{reached:b}")) if bit == "1"]


def reachable_totals(program: Program, points_of_rules: Mapping[str, frozenset[int]] | None = None) -> pl.Series | None:
    """Return every total (in units of `program.total.scale`) that rules can add up to; None if there are too many.

    Rules are treated as independent of each other, so some of these totals may never happen. *points_of_rules* limits
    the points of some rules, by their ids.
    """
    points_by_rule = {rule.rule.id: points_given(rule) for rule in program.rules} | dict(points_of_rules or {})
    total = program.total
    columns: Sequence[Mapping[str, int] | None] = total.weights or (None,)
    totals: set[int] = set()
    for weights in columns:
        weigh = _as_they_are if weights is None else _by(weights)
        sums = sums_of({weigh(rule, number) for number in points} for rule, points in points_by_rule.items())
        if sums is None:
            return None
        totals.update(sums)
    return pl.Series("total", sorted(totals), dtype=pl.Int64)


def _as_they_are(_: str, points: int) -> int:
    return points


def _by(weights: Mapping[str, int]) -> Callable[[str, int], int]:
    return lambda rule, points: weights.get(rule, 0) * points


_BEFORE, _AFTER = "slot before", "slot after"


@dataclass(frozen=True)
class Telling:
    """What is known of a change that no example notices.

    Attributes:
        no_effect: why no example can notice it; empty if one may.
        inputs: the inputs of an example that would notice it, in words; empty if none could be derived.
        example: the same as plain data that can be put under `examples`; None if inputs are not given directly.
    """

    no_effect: str = ""
    inputs: str = ""
    example: Mapping[str, Any] | None = field(default=None)


def telling_inputs(change: StepChange, before: Program, after: Program, scope: LintScope) -> Telling:
    """Find inputs that would notice a change, or why none can.

    Args:
        change: a change that no example notices.
        before: the original ruleset, compiled.
        after: the changed ruleset, compiled.
        scope: the fields and lists that conditions may use.
    """
    if change.path[0] == "rules":
        return _in_rule(change, before, after.analysed, scope)
    if change.path[0] == "calculate":
        word = str(change.path[-1])
        return Telling(inputs=_at_the_end(word, change)) if word in _LENGTHS else Telling()
    if change.path[0] == "cooldown":
        shorter = min(change.before, change.after, key=_days)  # this length has passed then, and the other has not
        return Telling(inputs=f"a customer whose level was entered {shorter} before, and would be lower now")
    if "when" in change.path or change.path[0] == "applies_to":
        return _of_choice(change.path, before.analysed, after.analysed, scope)
    return _of_weights(change.path, before.analysed) if "weights" in change.path else _of_cuts(before, after)


def _in_rule(change: StepChange, before: Program, new: AnalysedRuleset, scope: LintScope) -> Telling:
    path, word, position, old = change.path, change.path[-1], change.path[1], before.analysed
    assert isinstance(position, int)
    rule = old.ruleset.rules[position]
    if word in {"points", "floor"}:
        return _of_outcome(change, before, scope)
    if word in _LENGTHS:
        return Telling(inputs=_at_the_end(str(word), change))
    if "linked" in path:  # the input would have to be given for another entity
        return Telling()
    if "where" in path:
        return _of_where(path, old, new, scope)
    return _of_cases(path, rule, new.ruleset.rules[position], scope) if "when" in path else Telling()


_LENGTHS = ("half_life", "over", "active", "dormant", "within")
"""Words whose value is a duration."""


def _days(length: str) -> int:
    return int(length.split(maxsplit=1)[0])


def _at_the_end(window: str, change: StepChange) -> str:
    if window == "half_life":
        return f"a signal {change.before} old, where the total is expected"
    longer = _days(change.after) > _days(change.before)
    length = change.before if longer else change.after
    if window == "over":
        which = "longer" if longer else "present"
        return f"a fact exactly {length} old, which only the {which} window counts"
    return f"facts that lie {length} apart"


# Conditions: values for which another case holds.


def _of_cases(path: Path, rule: Rule, changed: Rule, scope: LintScope) -> Telling:
    places = _case_places(path[:2], rule)
    others = _case_places(path[:2], changed)
    number = path[3]
    assert isinstance(number, int)
    trial = try_conditions([*places, others[number]], scope)
    if trial is None:
        return Telling()
    names = [str(place) for place in range(len(places))]
    after = [*names[:number], str(len(places)), *names[number + 1 :]]
    slots = trial.truths.select(_slot(names).alias(_BEFORE), _slot(after).alias(_AFTER))
    differ = slots[_BEFORE] != slots[_AFTER]
    if not differ.any():
        return Telling("the same case holds, whatever the values" if trial.exact else "")
    combination = plain_values(trial, differ)
    return (
        Telling() if combination is None else _case_example(trial, combination.values, rule, slots.row(combination.row))
    )


def _case_places(path: Path, rule: Rule) -> list[Location]:
    return [Location((*path, "cases", number, "when"), case.when, rule.input) for number, case in enumerate(rule.cases)]


def _slot(names: Sequence[str]) -> pl.Expr:
    """Return the number of the first condition that holds, or that of otherwise, or of unknown."""
    chain: Any = pl
    for number, name in enumerate(names):
        chain = chain.when(pl.col(name)).then(pl.lit(number, pl.Int32))
    unknown = pl.any_horizontal([pl.col(name).is_null() for name in names])
    slot: pl.Expr = chain.when(unknown).then(pl.lit(len(names) + 1, pl.Int32)).otherwise(pl.lit(len(names), pl.Int32))
    return slot


def _case_name(rule: Rule, slot: int) -> int | str:
    rests = {len(rule.cases): "otherwise", len(rule.cases) + 1: "unknown"}
    return rests.get(slot, slot + 1)


def _case_words(rule: Rule, slot: int) -> str:
    name = _case_name(rule, slot)
    return f"case {name}" if isinstance(name, int) else name


def _case_example(trial: ReachabilityTrial, values: Mapping[str, Any], rule: Rule, slots: tuple[Any, ...]) -> Telling:
    now, then = (_case_words(rule, slot) for slot in slots)
    facts = given_words(trial, values)
    expect = {"cases": {rule.id: _case_name(rule, slots[0])}}
    example = None if facts is None else {"given": facts, "expect": expect}
    return Telling(inputs=f"{values_words(trial, values)}: {now} holds, and would be {then}", example=example)


def _of_choice(path: Path, old: AnalysedRuleset, new: AnalysedRuleset, scope: LintScope) -> Telling:
    """Compare the predicate, or one choice of weights, before and after."""
    sides = [next((place for place in side.conditions if _leads(place.path, path)), None) for side in (old, new)]
    return _of_truths([place for place in sides if place is not None], scope)


def _of_where(path: Path, old: AnalysedRuleset, new: AnalysedRuleset, scope: LintScope) -> Telling:
    at = path[: path.index("where") + 1]
    sides = [
        next(
            (place for where, each in side.inputs_with_paths for place in wheres_in(where, each) if place.path == at),
            None,
        )
        for side in (old, new)
    ]
    telling = _of_truths([place for place in sides if place is not None], scope)
    return telling if not telling.inputs else Telling(inputs=f"a fact of which is known: {telling.inputs}")


def _leads(start: Path, path: Path) -> bool:
    return path[: len(start)] == start


def _of_truths(places: Sequence[Location], scope: LintScope) -> Telling:
    trial = try_conditions(places, scope) if len(places) == 2 else None
    if trial is None:
        return Telling()
    before, after = trial.truths.get_columns()
    differ = before.ne_missing(after)
    if not differ.any():
        return Telling("the condition is the same, whatever the values" if trial.exact else "")
    combination = plain_values(trial, differ)
    if combination is None:
        return Telling()
    now, then = (_truth_words(side[combination.row]) for side in (before, after))
    return Telling(inputs=f"{values_words(trial, combination.values)}: {now}, and would be {then}")


def _truth_words(truth: bool | None) -> str:
    return "unknown" if truth is None else str(truth).lower()


# Points and floors: whether their case is ever given.


def _of_outcome(change: StepChange, before: Program, scope: LintScope) -> Telling:
    path, old = change.path, before.analysed
    assert isinstance(path[1], int)
    rule = old.ruleset.rules[path[1]]
    if path[-1] == "points" and _is_weightless(rule, old):
        return Telling("no column gives the rule a weight above 0")
    trial = try_conditions(_case_places(path[:2], rule), scope)
    if trial is None or (rule.decay is not None and path[2] != "cases"):  # a case without a signal gives the latter too
        return Telling()
    slots = trial.truths.select(_slot(trial.truths.columns).alias(_BEFORE))
    wanted = {"otherwise": len(rule.cases), "on_unknown": len(rule.cases) + 1}
    at = path[3] if path[2] == "cases" else wanted[str(path[2])]
    mask = slots[_BEFORE] == at
    if path[2] == "otherwise" and rule.on_unknown is None:
        mask |= slots[_BEFORE] == wanted["on_unknown"]
    if not mask.any():
        return Telling("it is never given, whatever the values" if trial.exact else "")
    combination = plain_values(trial, mask)
    beside = ", where the total is expected" if path[-1] == "points" else _beside_floor(change, before, int(at))
    return (
        Telling()
        if combination is None or not beside
        else Telling(inputs=values_words(trial, combination.values) + beside)
    )


def _beside_floor(change: StepChange, before: Program, slot: int) -> str:
    """Write what else an example of a floor needs: points that do not reach that level by themselves."""
    ruleset, position = before.ruleset, change.path[1]
    assert isinstance(position, int)
    higher = max(ruleset.level_number(change.before), ruleset.level_number(change.after))
    name, rule = ruleset.levels[higher - 1], before.rules[position]
    totals = reachable_totals(before, {rule.rule.id: points_given(rule, slot)})
    if totals is None:
        return f" and a total of a level below {name}, where the level is expected"
    levels = totals.to_frame().select(before.total.level(pl.col("total"))).to_series()
    below = totals.filter((levels < higher) | levels.is_null())
    if below.is_empty():
        return _beside_unreadable(before, position, name)
    total = min(below, key=lambda one: (abs(one), one))
    return f" and a total such as {text_of(total, before.total.scale)}, where the level is expected"


def _beside_unreadable(before: Program, position: int, level: str) -> str:
    """Write the condition if points alone reach a level: only floors count if another rule's input cannot be read."""
    own = set(before.rules[position].reads)
    is_other = any(set(rule.reads) - own for place, rule in enumerate(before.rules) if place != position)
    needs = "and an input of another rule that cannot be read, as points alone come to"
    return f" {needs} {level} otherwise, where the level is expected" if is_other else ""


def _is_weightless(rule: Rule, old: AnalysedRuleset) -> bool:
    score = old.ruleset.score
    return isinstance(score, WeightedScore) and not any(
        column.get(rule.id, 0) for column in score.weighted.weights.values()
    )


# Cuts and weights: whether a total lies where they differ.


def _of_weights(path: Path, old: AnalysedRuleset) -> Telling:
    score = old.ruleset.score
    assert isinstance(score, WeightedScore)
    column = str(path[3])
    if all(choice.use != column for choice in score.weighted.weights_by):
        return Telling(f"no choice of weights_by uses the column {column}")
    return Telling(inputs=f"an entity of the column {column}, where the total is expected")


def _of_cuts(before: Program, after: Program) -> Telling:
    totals = reachable_totals(before)
    if totals is None:
        return Telling()
    sides = [totals.to_frame().select(side.total.level(pl.col("total"))).to_series() for side in (before, after)]
    moved = totals.filter(sides[0].ne_missing(sides[1]))
    if moved.is_empty():
        return Telling("no points add up to a total between the two")
    return Telling(inputs=f"a total of {text_of(moved[0], before.total.scale)}, where the level is expected")
