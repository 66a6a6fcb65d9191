"""Assessments as they are stored: codes, from which a breakdown is written when it is read.

A breakdown is a function of the ruleset, the inputs and what came out, as numbers. So these are kept, and no text. What
a breakdown says is compared without its words too, as far as these say exactly what is behind them.
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
"""Of the words of breakdowns, and of those of decisions and runs of flows, which are made of the same.

Where the same codes and inputs would be put into other words, this becomes the next one. A breakdown that was written
in other words is shown in the present ones, and a replay says so.
"""


@dataclass(frozen=True, kw_only=True)
class StoredOutcome:
    """One assessment as it is stored.

    Attributes:
        entity: its identifier.
        as_of: microseconds.
        status: what became of it.
        codes: as `outcome_texts` writes them.
        inputs: the values of all inputs, by their keys, as JSON has them.
        lists: since when the version of each list holds that was used, by name; microseconds.
        base: the currency that money is in.
    """

    entity: str
    as_of: int
    status: str
    codes: str
    inputs: Mapping[str, Any]
    lists: Mapping[str, int]
    base: str


def outcome_texts(assessments: Assessments) -> list[str]:
    """Write what came out of each assessment: the number of the words, what follows the rules, the codes of the rules.

    A JSON array of numbers, true, false and null.
    """
    codes = assessments.outcomes[_stored_columns(assessments.program)]
    return [JSON.encode((WORDS, *row)).decode() for row in codes.iter_rows()]


def words_of(codes: str) -> int:
    """Tell the number of the words that an outcome was written for."""
    words: int = msgspec.json.decode(codes)[0]
    return words


def explain_stored(analysed: AnalysedRuleset, outcome: StoredOutcome) -> Explanation:
    """Explain a stored assessment as it was explained when it was made, in the words of now.

    No explanation depends on the members of lists, so they need not be known.
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
    """Write for each assessment what its breakdown says beside its moment, for comparison alone.

    Two are equal where the breakdowns are. Values stand as they are, those that a breakdown rounds as it shows them.
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
    """Give the whole text where it says what could not be read, or is unknown, beside the rules; by position."""
    open_ones = {Status.FAILED.value, Status.UNDETERMINED.value}
    positions = [place for place, status in enumerate(statuses) if status in open_ones]
    explained = explain_all(assessments, positions)
    return {
        place: as_json_text(replace(one, as_of=0, entity="")) for place, one in zip(positions, explained, strict=True)
    }
