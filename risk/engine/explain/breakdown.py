"""Explains why an entity has its level: every rule's outcome, and the arithmetic in one line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fivefold.domain.clock import day_text, iso_text
from fivefold.domain.text import html_table
from fivefold.risk.engine.assessments import STATUS, VERSIONS, Assessments, Status
from fivefold.risk.engine.explain.failures import PREDICATE
from fivefold.risk.engine.explain.rules import JSON, Columns, Explainer, RuleOutcome, explained_columns, explainer_of
from fivefold.risk.engine.levels import (
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    LEVEL,
    MAY_MOVE_DOWN_ON,
    OVERRIDDEN,
    RAISED,
    RULES_LEVEL,
    WITHHELD,
)
from fivefold.risk.engine.program import FLOOR, HARD_FLOOR, TOTAL, TOTAL_LEVEL, Program
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, ListVersion
from fivefold.risk.language.quantities import decimal_text

NAMED = (TOTAL_LEVEL, FLOOR, LEVEL, RULES_LEVEL, WITHHELD)
"""The columns of level numbers; a summary has the names of these levels."""

Row = Mapping[str, Any]


def summary_line(
    rules: Sequence[RuleOutcome],
    score: str,
    row: Row,
    names: Mapping[str, str],
    failed: Sequence[str],
) -> str:
    """Write the arithmetic and the level in one line.

    Args:
        rules: the outcome of each rule.
        score: the total as shown, followed by the exact one if that differs.
        row: the entity's outcomes.
        names: the names of the levels in the columns of `NAMED`; empty if there is none.
        failed: the places where the assessment failed.
    """
    if row[STATUS] == Status.NOT_APPLICABLE:
        return f"The ruleset does not apply, so it gives no level{_override(row, names)}"
    line = f"Score {score.replace('-', '−')}: {_sum(rules)}; {_verdict(rules, row, names, failed)}"
    if row[WITHHELD]:
        by = "a floor that is unknown now" if row[HELD_FLOOR] >= row[RULES_LEVEL] else "the cooldown"
        line += f"; held at {_title(names[RULES_LEVEL])} until {day_text(row[MAY_MOVE_DOWN_ON])} by {by}"
    return line + _override(row, names)


def _sum(rules: Sequence[RuleOutcome]) -> str:
    """Write the sum as people do: 20 + 15 − 5, each with the title of its rule, marked if it is not known."""
    terms = [terms for outcome in rules if (terms := outcome.case_outcome.terms)[0]]
    if not terms:
        return "no rule gave points"
    return " ".join([terms[0][0], *[later for _, later in terms[1:]]])


def _verdict(rules: Sequence[RuleOutcome], row: Row, names: Mapping[str, str], failed: Sequence[str]) -> str:
    if row[STATUS] == Status.UNDETERMINED:  # the unknown inputs are named separately: not all may know the predicate
        return f"it is unknown whether the ruleset applies: {_standing(rules, row, names)}"
    if row[STATUS] == Status.FAILED:
        return f"failed in {', '.join(failed)}: {_standing(rules, row, names)}"
    if row[STATUS] == Status.UNCLASSIFIED:
        return f"unclassified, as no tier owns this score: {_standing(rules, row, names)}"
    level = _title(names[TOTAL_LEVEL])
    if row[FLOOR] <= row[TOTAL_LEVEL]:
        return level
    return f"{level}, raised to {_title(names[FLOOR])} by the floor of {_floor_by(rules, names)}"


def _standing(rules: Sequence[RuleOutcome], row: Row, names: Mapping[str, str]) -> str:
    """Write which level holds if rules could not be evaluated: a floor may raise it, and nothing lowers it."""
    if not names[RULES_LEVEL]:
        return "there is no level yet"
    level = _title(names[RULES_LEVEL])
    if names[FLOOR] == names[RULES_LEVEL]:
        return f"{level} by the floor of {_floor_by(rules, names)}"
    if row[OVERRIDDEN]:
        return "nothing lowers the level without the override"
    return f"nothing lowers the level, so {level} stays"


def _floor_by(rules: Sequence[RuleOutcome], names: Mapping[str, str]) -> str:
    floors = (each.case_outcome for each in rules if each.floor and each.floor == names[FLOOR])
    return next((each.marked_title for each in floors), "")


def _override(row: Row, names: Mapping[str, str]) -> str:
    if not row[OVERRIDDEN]:
        return ""
    floor = f", which {_raising_floor(row)} raised" if row[RAISED] else ""
    without = _title(names[RULES_LEVEL]) or "no level"
    return f"; {_title(names[LEVEL])} by an override{floor}, {without} without it"


def _raising_floor(row: Row) -> str:
    """Name the floor that raised an override: one that is triggered, or one that held before."""
    if row[HARD_FLOOR] == row[HELD_HARD_FLOOR]:
        return "a floor"
    return "a floor that is unknown now" if row[STATUS] == Status.ASSESSED else "the floor held until now"


def _title(level: str) -> str:
    return level[:1].upper() + level[1:]


_AT_ONCE = 1_024
"""How many entities are explained together: enough to share words, and few enough for their words to fit in memory."""

_FLOORS = (HARD_FLOOR, HELD_FLOOR, HELD_HARD_FLOOR)
OUTCOME = (TOTAL, *NAMED, MAY_MOVE_DOWN_ON, OVERRIDDEN, RAISED, *_FLOORS)
"""The columns of outcomes that are explained, apart from the rules, entity, as-of, status and lists."""
_ROW = (ENTITY, AS_OF, STATUS, *OUTCOME, VERSIONS)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One entity's assessment, explained. Levels are names; empty if there is none.

    Attributes:
        entity: its identifier.
        as_of: the moment, in microseconds.
        ruleset: the name of the ruleset.
        content_hash: the hash of the ruleset.
        status: the status of the assessment.
        rules: the outcome of each rule, in the ruleset's order.
        total: the exact total of points.
        score: the total as shown: never rounded across a cut.
        score_level: the level of the total alone.
        floor: the highest floor of a triggered rule.
        level: the level that holds.
        rules_level: the level that would hold without an override.
        withheld: the lower level that the cooldown, or an unknown floor, withholds.
        may_move_down_on: the moment from which time no longer withholds a lower level (`risk.engine.levels.LEVELS`),
            in microseconds; None if there is none.
        lists: the version in force of each list that was used, by name.
        failures: what failed, or left open whether the ruleset applies, and why; empty if nothing did.
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

    def _repr_html_(self) -> str:
        """Show the explanation in a notebook: the level and arithmetic, each rule's inputs and effect, and failures."""
        by = f"{self.level or 'no level'} by {self.ruleset}, as of {day_text(self.as_of)}"
        rows = [[rule.title, rule.seen, rule.reason, rule.case_outcome.effect] for rule in self.rules]
        shown = html_table(f"{self.entity}: {by}. {self.line}", ["rule", "seen", "case", "gives"], rows)
        if not self.failures:
            return shown
        return shown + html_table("Not assessed in full", ["why"], [[failure] for failure in self.failures])


def explain(assessments: Assessments, position: int) -> Explanation:
    """Explain the assessment of one row, as a batch of one."""
    return next(explain_all(assessments, [position]))


def explain_all(assessments: Assessments, positions: Sequence[int] | None = None) -> Iterator[Explanation]:
    """Explain the assessments of some rows, or of all, in order.

    The texts of the ruleset are prepared once, and rows are read from the frames many at a time.
    """
    rows = range(len(assessments)) if positions is None else positions
    for first in range(0, len(rows), _AT_ONCE):
        columns = explained_columns(assessments, rows[first : first + _AT_ONCE])
        yield from explain_columns(assessments.program, assessments.base, assessments.versions, columns)


def explain_columns(
    program: Program, base: str, versions: Sequence[Mapping[str, ListVersion]], columns: Columns
) -> Iterator[Explanation]:
    """Explain entities whose inputs and outcomes are in columns; the other arguments are as in `Assessments`."""
    return _Batch(program, base, versions, columns).explanations()


class _Batch:
    """Some entities whose assessments are explained together."""

    def __init__(
        self, program: Program, base: str, versions: Sequence[Mapping[str, ListVersion]], columns: Columns
    ) -> None:
        self._program = program
        self._teller: Explainer = explainer_of(program, base)
        self._columns = columns
        self._levels = ("", *program.ruleset.levels)
        self._lists = [{name: day_text(version.since) for name, version in each.items()} for each in versions]

    def explanations(self) -> Iterator[Explanation]:
        columns = self._columns
        scores = self._program.total.texts(columns[TOTAL])
        rows = zip(*[columns[name] for name in _ROW], strict=True)
        explained = zip(rows, scores, self._teller.outcomes(columns), strict=True)
        unknown = self._open_questions()
        for place, (values, score, rules) in enumerate(explained):
            row = dict(zip(_ROW, values, strict=True))
            yield self._explanation(place, row, score, rules, unknown.get(place, []))

    def _explanation(
        self, place: int, row: Mapping[str, Any], score: str, rules: tuple[RuleOutcome, ...], unknown: Sequence[str]
    ) -> Explanation:
        program, status = self._program, row[STATUS]
        names = {column: self._levels[row[column] or 0] for column in NAMED}
        total = Decimal(row[TOTAL]) / program.total.scale
        exact_score = score if Decimal(score) == total else f"{score} (exactly {decimal_text(total)})"
        failed = [(one.title, " and ".join(one.errors)) for one in rules if one.case_outcome.case == "failed"]
        failures = failures_of_rules(failed)
        if status == Status.FAILED:
            inputs = {name: values[place] for name, values in self._columns.items()}
            besides = list(self._teller.failures.words(inputs))
            failures += [f"{where}: {problem}" for where, problem in besides]
            failed += besides
        if unknown:
            failures.append(f"{PREDICATE}: {', '.join(unknown)}")
        return Explanation(
            entity=row[ENTITY],
            as_of=row[AS_OF],
            ruleset=program.ruleset.name,
            content_hash=program.ruleset.content_hash,
            status=status,
            rules=rules,
            total=total,
            score=score,
            score_level=names[TOTAL_LEVEL] if status == Status.ASSESSED else "",
            floor=names[FLOOR] if status != Status.NOT_APPLICABLE else "",
            level=names[LEVEL],
            rules_level=names[RULES_LEVEL],
            withheld=names[WITHHELD],
            may_move_down_on=row[MAY_MOVE_DOWN_ON],
            lists=self._lists[row[VERSIONS]].copy(),
            failures=tuple(failures),
            line=summary_line(rules, exact_score, row, names, [where for where, _ in failed]),
        )

    def _open_questions(self) -> dict[int, list[str]]:
        """Name the unknown inputs of the entities for which it is unknown whether the ruleset applies."""
        questions = self._teller.open_questions.items()
        return {
            place: [words for key, words in questions if self._columns[key][place] is None]
            for place, status in enumerate(self._columns[STATUS])
            if status == Status.UNDETERMINED
        }


def failures_of_rules(failed: Iterable[tuple[str, str]]) -> list[str]:
    """Write each problem once, after the titles of all rules that met it; *failed* has titles and problems.

    >>> failures_of_rules([("A", "x is 1"), ("B", "y is 2"), ("C", "x is 1")])
    ['A, C: x is 1', 'B: y is 2']
    """
    titles: dict[str, list[str]] = {}
    for title, problem in failed:
        titles.setdefault(problem, []).append(title)
    return [f"{', '.join(of_problem)}: {problem}" for problem, of_problem in titles.items()]


def as_json_text(explanation: Explanation) -> str:
    """Write an explanation as canonical JSON: exact numbers as text, moments in ISO form."""
    may = explanation.may_move_down_on
    content = {
        **vars(explanation),
        "as_of": _iso(explanation.as_of),
        "may_move_down_on": None if may is None else _iso(may),
        "total": str(explanation.total),
        "rules": [outcome.encoded for outcome in explanation.rules],
    }
    return JSON.encode(content).decode()


_iso = lru_cache(maxsize=1_000)(iso_text)
