"""What a ruleset means, in plain Python: one entity, one rule, one case at a time; slow, and nothing of it clever.

It reads the ruleset as it was written, and rows as they were given. Numbers are fractions of what was written down,
moments are datetimes; None is unknown, and BAD is a value that could not be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from dateutil.relativedelta import relativedelta

from tests.risk.engine.reference.conditions import BAD, World, inputs_in
from tests.risk.engine.reference.values import signal_of_input, truth, value_of

Data = dict[str, Any]
Lost = dict[int, datetime]
"""Since when a floor rests on what is unknown, by its level."""


@dataclass
class Answer:
    """What came of one entity: of each rule its case and points; levels are numbers from 1."""

    status: str = "assessed"
    cases: dict[str, int | str] = field(default_factory=dict)
    points: dict[str, Fraction] = field(default_factory=dict)
    total: Fraction = Fraction(0)
    score_level: int | None = None
    floor: int = 0
    hard_floor: int = 0
    possible: set[int] = field(default_factory=set)
    possible_hard: set[int] = field(default_factory=set)
    held_floor: int = 0
    held_hard_floor: int = 0
    lost: Lost = field(default_factory=dict)
    lost_hard: Lost = field(default_factory=dict)
    computed: int | None = None
    level: int | None = None
    rules_level: int | None = None
    entered: datetime | None = None
    may_move_down_on: datetime | None = None
    withheld: int | None = None
    overridden: bool = False
    raised: bool = False


def assess_slowly(ruleset: Data, world: World, entity: Data) -> Answer:
    """Assess one entity."""
    answer = Answer()
    predicate = ruleset.get("applies_to")
    failed = _cannot_be_read(predicate, ruleset, world, entity)
    applies = True if predicate is None else truth(predicate, None, ruleset, world, entity)
    for rule in ruleset["rules"]:
        _rule(rule, ruleset, world, entity, answer)
    column = _column_of_weights(ruleset, world, entity)
    if "weighted" in ruleset["score"]:
        choices = [choice["when"] for choice in ruleset["score"]["weighted"]["weights_by"] if "when" in choice]
        failed = failed or column is None or any(_cannot_be_read(one, ruleset, world, entity) for one in choices)
    answer.total = sum(_parts(ruleset, answer, column), Fraction(0))
    answer.score_level = _level_of(answer.total, ruleset)
    if applies is False:
        answer.status = "not applicable"
    elif applies is None and not _cannot_be_read(predicate, ruleset, world, entity):
        answer.status = "undetermined"
    elif failed or "failed" in answer.cases.values():
        answer.status = "failed"
    elif answer.score_level is None:
        answer.status = "unclassified"
    _floors_over_time(answer, ruleset, entity, in_full=not failed and "failed" not in answer.cases.values())
    _over_time(answer, ruleset, entity)
    return answer


def _cannot_be_read(condition: Any, ruleset: Data, world: World, entity: Data) -> bool:
    return any(value_of(made, ruleset, world, entity) is BAD for made in inputs_in(condition))


def level_number(level: str | int, ruleset: Data) -> int:
    names = ruleset["levels"]
    return names.index(level) + 1 if level in names else int(level)


def _rule(rule: Data, ruleset: Data, world: World, entity: Data, answer: Answer) -> None:
    """Try the cases in order: the first that holds wins, and an unknown one does not hold."""
    case, outcome, may = _outcome(rule, ruleset, world, entity)
    points = Fraction(str(outcome.get("points", 0)))
    if "decay" in rule and isinstance(case, int):
        signal = signal_of_input(rule["decay"].get("signal", rule.get("input")), ruleset, world, entity)
        if signal is None and points:
            unknown = rule.get("on_unknown", rule.get("otherwise", {}))
            points = Fraction(str(unknown.get("points", 0)))
            if "floor" not in outcome or _floor_in(outcome, ruleset) < _floor_in(unknown, ruleset):
                case, outcome = "unknown", unknown
        elif signal is not None:
            elapsed = max(entity["as_of"] - signal, entity["as_of"] - entity["as_of"])
            halvings = elapsed // _length(rule["decay"]["half_life"])
            points = Fraction(round(points * 100 / 2**halvings), 100)  # a fraction is rounded half to even
    answer.cases[rule["id"]], answer.points[rule["id"]] = case, points
    if "floor" in outcome:
        floor = level_number(outcome["floor"], ruleset)
        answer.floor = max(answer.floor, floor)
        if not rule.get("overridable"):
            answer.hard_floor = max(answer.hard_floor, floor)
    for one in may:
        answer.possible.add(_floor_in(one, ruleset))
        if not rule.get("overridable"):
            answer.possible_hard.add(_floor_in(one, ruleset))


def _floor_in(outcome: Data, ruleset: Data) -> int:
    return level_number(outcome["floor"], ruleset) if "floor" in outcome else 0


def _length(written: str) -> Any:
    count, unit = written.split()
    moment = datetime(2024, 1, 1)  # noqa: DTZ001 (a length has no zone)
    return moment + relativedelta(**{unit.rstrip("s") + "s": int(count)}) - moment


def _outcome(rule: Data, ruleset: Data, world: World, entity: Data) -> tuple[int | str, Data, list[Data]]:
    """Give what came of a rule, and what else may have, had all been known."""
    read = [made or rule.get("input") for case in rule["cases"] for made in inputs_in(case["when"], own=True)]
    if "decay" in rule:
        read.append(rule["decay"].get("signal", rule.get("input")))
    if any(value_of(made, ruleset, world, entity) is BAD for made in read):
        return "failed", {}, []
    may: list[Data] = []
    for number, case in enumerate(rule["cases"], 1):
        holds = truth(case["when"], rule.get("input"), ruleset, world, entity)
        if holds:
            return number, case, may
        if holds is None:
            may.append(case)
    otherwise = rule.get("otherwise", {})
    return ("unknown", rule.get("on_unknown", otherwise), [*may, otherwise]) if may else ("otherwise", otherwise, [])


def _column_of_weights(ruleset: Data, world: World, entity: Data) -> Data | None:
    weighted = ruleset["score"].get("weighted")
    if weighted is None:
        return None
    for choice in weighted["weights_by"]:
        if "when" not in choice or truth(choice["when"], None, ruleset, world, entity):
            column: Data = weighted["weights"][choice["use"]]
            return column
    return None


def _parts(ruleset: Data, answer: Answer, column: Data | None) -> Iterator[Fraction]:
    """Give what each rule adds: its points, or its share of them where factors are weighed."""
    for rule, points in answer.points.items():
        if "weighted" not in ruleset["score"]:
            yield points
        elif column is not None and rule in column:
            yield points * Fraction(str(column[rule])) / 100


def _level_of(total: Fraction, ruleset: Data) -> int | None:
    score = ruleset["score"]
    if "tiers" in score:
        for tier in score["tiers"]:
            low, high = tier.get("min"), tier.get("max")
            if (low is None or Fraction(str(low)) <= total) and (high is None or total <= Fraction(str(high))):
                return level_number(tier["level"], ruleset)
        return None
    cuts = score["points"]["thresholds"] if "points" in score else score["weighted"]["bands"]
    return 1 + sum(1 for cut in cuts if total >= Fraction(str(cut)))


def _floors_over_time(answer: Answer, ruleset: Data, entity: Data, *, in_full: bool) -> None:
    """Hold floors that are missing: all of them where not all was answered, one that is unknown for the cooldown."""
    if answer.status == "not applicable":
        return
    if answer.status == "undetermined":
        in_full = False
    before = entity.get("floors") or (0, 0, {}, {}) if entity.get("previous") else (0, 0, {}, {})
    sure = (in_full, ruleset, entity["as_of"])
    answer.held_floor, answer.lost = _held(answer.floor, answer.possible, before[0], before[2], *sure)
    answer.held_hard_floor, answer.lost_hard = _held(
        answer.hard_floor, answer.possible_hard, before[1], before[3], *sure
    )


def _held(
    now: int,
    possible: set[int],
    before: int,
    lost: Lost,
    in_full: bool,
    ruleset: Data,
    as_of: datetime,
) -> tuple[int, Lost]:
    held, still_lost = now, {}
    for level in range(2, len(ruleset["levels"]) + 1):
        if now >= level or before < level:
            continue
        if not in_full:
            held = max(held, level)
            if level in lost:
                still_lost[level] = lost[level]
        elif max(possible, default=0) >= level and as_of < _end(ruleset, lost.get(level, as_of)):
            held = max(held, level)
            still_lost[level] = lost.get(level, as_of)
    return held, still_lost


def _over_time(answer: Answer, ruleset: Data, entity: Data) -> None:
    """Move the level on: up at once, down after the cooldown; a live override above it."""
    held = None if answer.status == "not applicable" else entity.get("previous")
    if answer.status == "assessed":
        answer.computed = max(answer.score_level or 0, answer.floor)
    elif answer.status != "not applicable":  # a floor may raise, nothing lowers
        answer.computed = max(held[0] if held else 0, answer.floor) or None
    asked = None if answer.computed is None else max(answer.computed, answer.held_floor)
    as_of = entity["as_of"]
    standing = held
    if asked is not None and (held is None or asked > held[0] or (asked < held[0] and as_of >= _end(ruleset, held[1]))):
        standing = (asked, as_of)
    if standing is not None:
        answer.rules_level, answer.entered = standing
        if answer.computed is not None and answer.computed < standing[0]:
            answer.withheld = answer.computed
        if standing[0] > 1:
            answer.may_move_down_on = _end(ruleset, standing[1])
            if answer.withheld and answer.held_floor >= standing[0]:
                ends = _end(ruleset, answer.lost[standing[0]])
                answer.may_move_down_on = max(answer.may_move_down_on, ends)
    override = entity.get("override")
    answer.level = answer.rules_level
    if override is not None and (override[1] is None or as_of < override[1]):
        answer.overridden, answer.raised = True, override[0] < answer.held_hard_floor
        answer.level = max(override[0], answer.held_hard_floor)


def _end(ruleset: Data, entered: datetime) -> datetime:
    if "cooldown" not in ruleset:
        return entered
    count, unit = ruleset["cooldown"].split()
    return entered + relativedelta(**{unit.rstrip("s") + "s": int(count)})
