"""Assessments as stored: codes, from which a breakdown is written when it is read.

A breakdown is a function of the ruleset, the inputs and the outcome as numbers. So these are kept, without text.
Breakdowns are also compared without their words, as far as the words express the values exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import STATUS, VERSIONS, Assessments, Status
from fivefold.risk.engine.explain.breakdown import (
    OUTCOME,
    Explanation,
    as_json_text,
    explain_all,
    explain_columns,
)
from fivefold.risk.engine.explain.rules import JSON, explained_columns, explainer_of
from fivefold.risk.engine.program import Program, program_for
from fivefold.risk.engine.totals import WEIGHTS_USED
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, ListVersion

WORDS: Final = 7
"""The version of the words of breakdowns, and of decisions and runs of flows, which use the same words.

It is increased when the same codes and inputs would be written in other words. A breakdown of another version is shown
in the current words, and a replay says so.
"""


@dataclass(frozen=True, kw_only=True)
class StoredOutcome:
    """One assessment as it is stored.

    Attributes:
        entity: its identifier.
        as_of: the moment, in microseconds.
        status: the status of the assessment.
        codes: the text that `outcome_texts` writes.
        inputs: the values of all inputs, by their keys, as in JSON.
        lists: the beginning of the version that was used of each list, by name; microseconds.
        base: the currency of money.
    """

    entity: str
    as_of: int
    status: str
    codes: str
    inputs: Mapping[str, Any]
    lists: Mapping[str, int]
    base: str


def outcome_texts(assessments: Assessments) -> list[str]:
    """Write each assessment's outcome as a JSON array of numbers, true, false and null.

    It has the version of the words, the columns of `OUTCOME`, the weights used, if any, and the codes of the rules.
    """
    codes = assessments.outcomes[_stored_columns(assessments.program)]
    return [JSON.encode((WORDS, *row)).decode() for row in codes.iter_rows()]


def words_of(codes: str) -> int:
    """Return the version of the words that an outcome was written for."""
    words: int = msgspec.json.decode(codes)[0]
    return words


def explain_stored(analysed: AnalysedRuleset, outcome: StoredOutcome) -> Explanation:
    """Explain a stored assessment as when it was made, in the current words.

    Explanations do not depend on the members of lists, so they need not be known.
    """
    versions = {name: ListVersion.model_construct(since=since, members=()) for name, since in outcome.lists.items()}
    program = program_for(analysed, versions, outcome.base)
    values = dict(zip(_stored_columns(program), msgspec.json.decode(outcome.codes)[1:], strict=True))
    values |= {ENTITY: outcome.entity, AS_OF: outcome.as_of, STATUS: outcome.status, VERSIONS: 0}
    columns = {name: [_value(value)] for name, value in {**outcome.inputs, **values}.items()}
    return next(explain_columns(program, outcome.base, (versions,), columns))


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _stored_columns(program: Program) -> list[str]:
    weights = [WEIGHTS_USED] if program.total.columns else []
    return [*OUTCOME, *weights, *(rule.column for rule in program.rules)]


def contents(assessments: Assessments) -> list[bytes]:
    """Write the content of each assessment's breakdown, without its moment, for comparison alone.

    Two contents are equal if the breakdowns are. Values are exact, but those that a breakdown rounds are as shown.
    """
    everybody = range(len(assessments))
    columns = explained_columns(assessments, everybody)
    values_by_column = explainer_of(assessments.program, assessments.base).values_shown(columns)
    lists = [{name: version.since for name, version in each.items()} for each in assessments.versions]
    additions = _said_besides(assessments, columns[STATUS])
    of_all = (assessments.base, assessments.program.ruleset.content_hash)
    outcomes = assessments.outcomes[_stored_columns(assessments.program)].iter_rows()
    rows = zip(
        outcomes,
        columns[VERSIONS],
        zip(*values_by_column, strict=True) if values_by_column else ((),) * len(assessments),
        strict=True,
    )
    return [
        JSON.encode((of_all, outcome, lists[version], values, additions.get(place, "")))
        for place, (outcome, version, values) in enumerate(rows)
    ]


def _said_besides(assessments: Assessments, statuses: Sequence[str]) -> dict[int, str]:
    """Return the whole text, by position, of breakdowns with unreadable or unknown values apart from the rules."""
    open_ones = {Status.FAILED.value, Status.UNDETERMINED.value}
    positions = [place for place, status in enumerate(statuses) if status in open_ones]
    explained = explain_all(assessments, positions)
    return {
        place: as_json_text(replace(one, as_of=0, entity="")) for place, one in zip(positions, explained, strict=True)
    }
