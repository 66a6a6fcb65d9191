"""Why an entity has its level: every rule's outcome, and the arithmetic in one line."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from domain.breakdown import Breakdown, Contribution
from domain.clock import day_text, from_microseconds
from risk.engine.assessments import STATUS, VERSIONS, Assessments, Status
from risk.engine.failures import entity_failures
from risk.engine.levels import LEVEL, MAY_MOVE_DOWN_ON, OVERRIDDEN, RAISED, RULES_LEVEL, WITHHELD
from risk.engine.outcomes import RuleOutcome, outcome_of, signed
from risk.engine.program import FLOOR, TOTAL, TOTAL_LEVEL
from risk.engine.reads import inputs_of_ruleset
from risk.engine.words import input_words
from risk.facts.portfolio import AS_OF, ENTITY
from risk.language.inputs import key_of


@dataclass(frozen=True)
class Explanation:
    """One entity's assessment, explained. Levels are names; empty or None where there is none.

    Attributes:
        entity: its identifier.
        as_of: microseconds.
        ruleset: the name of the ruleset.
        content_hash: of the ruleset.
        status: what became of the assessment.
        rules: what each rule gave, in the ruleset's order.
        total: the exact total of points.
        score: the total as it is shown: never rounded across a cut.
        score_level: the level of the total alone.
        floor: the highest floor of a triggered rule.
        level: what holds.
        rules_level: what would hold without an override.
        withheld: the lower level that the cooldown withholds.
        may_move_down_on: from when a lower level would be entered, microseconds.
        lists: the version in force of each list that was used, by name.
        failures: what failed, and why; empty where nothing did.
        line: the arithmetic in one line.
    """

    entity: str
    as_of: int
    ruleset: str
    content_hash: str
    status: str
    rules: tuple[RuleOutcome, ...]
    total: Decimal
    score: str
    score_level: str
    floor: str
    level: str
    rules_level: str
    withheld: str
    may_move_down_on: int | None
    lists: dict[str, str]
    failures: tuple[str, ...]
    line: str

    @property
    def breakdown(self) -> Breakdown:
        """The same in the form that value and risk share: every rule, and the points that add up to the total."""
        return Breakdown(
            0.0,
            tuple(
                Contribution(
                    outcome.rule,
                    outcome.category,
                    outcome.seen,
                    "",
                    float(outcome.points),
                    outcome.sentence,
                    label=outcome.title,
                    seen=outcome.seen,
                )
                for outcome in self.rules
            ),
        )


def explain(assessments: Assessments, position: int) -> Explanation:
    """Explain the assessment in one row."""
    program, row = assessments.program, assessments.outcomes.row(position, named=True)
    inputs = assessments.inputs.row(position, named=True)
    rules = tuple(outcome_of(rule, program, inputs, row, assessments.base) for rule in program.rules)

    def name(column: str) -> str:
        return program.ruleset.levels[row[column] - 1] if row[column] else ""

    versions = assessments.versions[row[VERSIONS]]
    applies = row[STATUS] != Status.NOT_APPLICABLE
    score = program.total.shown(row[TOTAL])
    failed = [(rule.title, " and ".join(rule.errors)) for rule in rules if rule.case == "failed"]
    if row[STATUS] == Status.FAILED:
        failed += entity_failures(program, inputs, row, assessments.base)
    unknown = [] if applies else _unknown_of_predicate(assessments, position)
    names = {column: name(column) for column in (TOTAL_LEVEL, FLOOR, LEVEL, RULES_LEVEL, WITHHELD)}
    return Explanation(
        row[ENTITY],
        row[AS_OF],
        program.ruleset.name,
        program.ruleset.content_hash,
        row[STATUS],
        rules,
        Decimal(row[TOTAL]) / program.total.scale,
        score,
        name(TOTAL_LEVEL) if row[STATUS] == Status.ASSESSED else "",
        name(FLOOR) if applies else "",
        name(LEVEL),
        name(RULES_LEVEL),
        name(WITHHELD),
        row[MAY_MOVE_DOWN_ON],
        {list_name: day_text(version.since) for list_name, version in versions.items()},
        tuple(f"{where}: {problem}" for where, problem in failed),
        _line(rules, score, row, names, [where for where, _ in failed], unknown),
    )


def _unknown_of_predicate(assessments: Assessments, position: int) -> list[str]:
    """Name what is not known of an entity where that leaves open whether the ruleset applies to it."""
    program, row = assessments.program, assessments.inputs[position : position + 1]
    if program.applies is None or row.select(applies=program.applies).item() is not None:
        return []
    words = {key_of(made): input_words(made) for made in inputs_of_ruleset(program.ruleset)}
    return [f"{words[key]} is unknown" for key in program.applies_reads if row[key].item() is None]


def _line(
    rules: tuple[RuleOutcome, ...],
    score: str,
    row: dict[str, Any],
    names: dict[str, str],
    failed: list[str],
    unknown: list[str],
) -> str:
    if row[STATUS] == Status.NOT_APPLICABLE:
        open_question = f"It is unknown whether the ruleset applies ({', '.join(unknown)})"
        return f"{open_question if unknown else 'The ruleset does not apply'}, so it gives no level" + _override(
            row, names
        )
    parts = [f"Score {score.replace('-', '−')}: {_sum(rules)}", _verdict(rules, row, names, failed)]
    if row[WITHHELD]:
        parts.append(f"held at {_title(names[RULES_LEVEL])} until {day_text(row[MAY_MOVE_DOWN_ON])} by the cooldown")
    return "; ".join(parts) + _override(row, names)


def _sum(rules: tuple[RuleOutcome, ...]) -> str:
    """Write the sum as people write sums: 20 + 15 − 5, each with the title of its rule."""
    given = [outcome for outcome in rules if outcome.points]
    if not given:
        return "no rule gave points"
    first, *rest = given
    words = [f"{first.title} {signed(first.points).removeprefix('+')}"]
    for outcome in rest:
        sign, size = ("+", outcome.points) if outcome.points > 0 else ("−", -outcome.points)
        words.append(f"{sign} {outcome.title} {size.normalize():f}")
    return " ".join(words)


def _verdict(rules: tuple[RuleOutcome, ...], row: dict[str, Any], names: dict[str, str], failed: list[str]) -> str:
    floor_by = next((outcome.title for outcome in rules if outcome.floor and outcome.floor == names[FLOOR]), "")
    if row[STATUS] == Status.FAILED:
        return f"failed in {', '.join(failed)}: {_standing(names, floor_by)}"
    if row[STATUS] == Status.UNCLASSIFIED:
        return f"unclassified, as no tier owns this score: {_standing(names, floor_by)}"
    level = _title(names[TOTAL_LEVEL])
    raised = row[FLOOR] > row[TOTAL_LEVEL]
    return f"{level}, raised to {_title(names[FLOOR])} by the floor of {floor_by}" if raised else level


def _standing(names: dict[str, str], floor_by: str) -> str:
    """Say what holds where the rules could not be answered in full: a floor may raise, and nothing lowers."""
    if not names[RULES_LEVEL]:
        return "there is no level yet"
    by_floor = names[FLOOR] == names[RULES_LEVEL]
    level = _title(names[RULES_LEVEL])
    return f"{level} by the floor of {floor_by}" if by_floor else f"nothing lowers the level, so {level} stays"


def _override(row: dict[str, Any], names: dict[str, str]) -> str:
    if not row[OVERRIDDEN]:
        return ""
    floor = ", which a floor raised" if row[RAISED] else ""
    return f"; {_title(names[LEVEL])} by an override{floor}, the rules say {_title(names[RULES_LEVEL]) or 'nothing'}"


def _title(level: str) -> str:
    return level[:1].upper() + level[1:]


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Give an explanation as plain data for JSON: exact numbers as text, moments in ISO form."""
    may = explanation.may_move_down_on
    return {
        **{name: value for name, value in vars(explanation).items() if name not in {"rules", "total"}},
        "as_of": from_microseconds(explanation.as_of).isoformat(),
        "may_move_down_on": None if may is None else from_microseconds(may).isoformat(),
        "total": str(explanation.total),
        "rules": [
            {
                **vars(outcome),
                "points": str(outcome.points),
                "factor": None if outcome.factor is None else [str(part) for part in outcome.factor],
                "sentence": outcome.sentence,
            }
            for outcome in explanation.rules
        ],
    }
