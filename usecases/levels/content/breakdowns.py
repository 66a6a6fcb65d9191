"""Breakdowns of stored assessments: written when they are read, from the codes and the inputs that are stored.

Text that an older program stored is returned unchanged.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from msgspec import MsgspecError
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConflictError
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, AnalysedRuleset, analyse_canonical
from fivefold.risk.engine.explain.breakdown import Explanation, as_json_text
from fivefold.risk.engine.explain.stored import StoredOutcome, explain_stored, words_of
from fivefold.store.levels.layouts import layouts_of
from fivefold.store.levels.levels import assessments_named, emptied_assessments
from fivefold.store.rulesets.rulesets import canonicals_of
from fivefold.store.sql.database import read_once
from fivefold.store.tables.levels import Assessment, AssessmentInputs
from fivefold.store.tables.operations import RetentionRun
from fivefold.usecases.levels.content.inputs import with_layout

Read = TypeVar("Read")
Name = tuple[int, int]
"""The number of an entity, and the number of one of its assessments."""


def inputs_of(session: Session, row: Assessment) -> dict[str, Any] | None:
    """Return the recorded inputs of an assessment, `inputs` by their keys; None if they were erased."""

    def read() -> dict[str, Any] | None:
        content = session.get_one(AssessmentInputs, (row.entity_id, row.number)).content
        return None if content is None else _with_layouts(session, row.organisation_id, [content])[0]

    return read_once(session, ("inputs", row.entity_id, row.number), read)


def breakdown_text(session: Session, row: Assessment) -> str | None:
    """Return the breakdown of an assessment as canonical JSON; None if it was erased."""
    if row.breakdown is None or _is_text(row.breakdown):
        return row.breakdown
    recorded_inputs = inputs_of(session, row)
    if recorded_inputs is None:
        return None
    ruleset = _rulesets(session, row.organisation_id, {recorded_inputs["ruleset"]})[recorded_inputs["ruleset"]]
    return as_json_text(_explained(row, row.breakdown, recorded_inputs, ruleset))


def breakdown_of(session: Session, row: Assessment) -> Any:
    """Return the breakdown of an assessment; None if it was erased. In a session of one moment it is written once."""

    def read() -> Any:
        text = breakdown_text(session, row)
        return None if text is None else json.loads(text)

    return read_once(session, ("breakdown", row.entity_id, row.number), read)


def gone_text(session: Session, row: Assessment) -> str:
    """Return in words how the inputs of an assessment went: by the retention policy, and when, or by an erasure."""
    inputs = session.get(AssessmentInputs, (row.entity_id, row.number))
    run = None if inputs is None or inputs.removed_by is None else session.get(RetentionRun, inputs.removed_by)
    if run is None:
        return "was erased"
    return _removal_words(run)


def removal_text(session: Session, removed_by: int) -> str:
    """Return in words that a run of the retention policy removed something, and when."""
    return _removal_words(session.get_one(RetentionRun, removed_by))


def _removal_words(run: RetentionRun) -> str:
    return f"was removed by the retention policy on {day_text(run.finished_us or run.started_us)[:10]}"


class StoredAssessment(NamedTuple):
    """The columns of an assessment from which its line is written."""

    entity_id: int
    number: int
    as_of_us: int
    status: str
    breakdown: str | None
    content: str | None


def lines_of(session: Session, organisation_id: int, names: Iterable[Name]) -> dict[Name, str]:
    """Return the lines of assessments, as `lines_of_records` does; assessments that do not exist are left out."""
    assessments = assessments_named(session, organisation_id, list(names))
    return lines_of_records(session, organisation_id, [stored_record(row, content) for row, content in assessments])


def stored_record(row: Assessment, content: str | None) -> StoredAssessment:
    """Join an assessment and the content of its inputs."""
    return StoredAssessment(row.entity_id, row.number, row.as_of_us, row.status, row.breakdown, content)


def lines_of_records(session: Session, organisation_id: int, records: Iterable[StoredAssessment]) -> dict[Name, str]:
    """Return the lines of assessments that were read already; erased ones are left out.

    Where the retention policy emptied an assessment, its line says so.
    """
    lines: dict[Name, str] = {}
    coded: list[tuple[StoredAssessment, str, str]] = []
    without_breakdown: list[Name] = []
    for row in records:
        if row.breakdown is not None and _is_text(row.breakdown):
            lines[row.entity_id, row.number] = json.loads(row.breakdown)["line"]
        elif row.breakdown is not None and row.content is not None:
            coded.append((row, row.breakdown, row.content))
        else:
            without_breakdown.append((row.entity_id, row.number))
    for entity_id, number, run in emptied_assessments(session, without_breakdown):
        lines[entity_id, number] = f"What it was made from {_removal_words(run)}"
    recorded_inputs = _with_layouts(session, organisation_id, [content for _, _, content in coded])
    rulesets = _rulesets(session, organisation_id, {each["ruleset"] for each in recorded_inputs})
    for (row, codes, _), each in zip(coded, recorded_inputs, strict=True):
        try:
            lines[row.entity_id, row.number] = _explained(row, codes, each, rulesets[each["ruleset"]]).line
        except ConflictError as error:  # one among many: the others are shown
            lines[row.entity_id, row.number] = str(error)
    return lines


def words_of_breakdown(row: Assessment) -> int | None:
    """Return the version of the words of a breakdown when it was made; None if its text is stored, or it was erased."""
    return None if row.breakdown is None or _is_text(row.breakdown) else words_of(row.breakdown)


def _is_text(breakdown: str) -> bool:
    """Check whether a breakdown is stored as text, a JSON object, and not as codes, an array."""
    return not breakdown.startswith("[")


def _explained(
    row: Assessment | StoredAssessment, codes: str, recorded_inputs: Mapping[str, Any], ruleset: AnalysedRuleset
) -> Explanation:
    outcome = StoredOutcome(
        entity=str(row.entity_id),
        as_of=row.as_of_us,
        status=row.status,
        codes=codes,
        inputs=recorded_inputs["inputs"],
        lists=recorded_inputs["lists"],
        base=recorded_inputs["base"],
    )
    try:
        return explain_stored(ruleset, outcome)
    except (LookupError, TypeError, ValueError, MsgspecError) as error:  # no assessment writes codes like these
        raise ConflictError(
            f"assessment {row.entity_id}.{row.number} cannot be explained: what is stored of it does not fit its "
            "ruleset, so it was changed; `fivefold audit verify` names what was"
        ) from error


def _with_layouts(session: Session, organisation_id: int, contents: Collection[str]) -> list[dict[str, Any]]:
    """Join contents with the layouts that they name; contents of older programs name none."""
    read: list[dict[str, Any]] = [json.loads(content) for content in contents]
    named = {each["layout"] for each in read if "layout" in each}
    layouts = _remembered(_LAYOUTS, named, lambda names: _read_layouts(session, organisation_id, names))
    return [with_layout(each, layouts[each["layout"]]) if "layout" in each else each for each in read]


def _read_layouts(session: Session, organisation_id: int, names: Collection[str]) -> dict[str, Mapping[str, Any]]:
    return {name: json.loads(text) for name, text in layouts_of(session, organisation_id, names).items()}


def _rulesets(session: Session, organisation_id: int, hashes: Collection[str]) -> dict[str, AnalysedRuleset]:
    def read(lacking: Collection[str]) -> dict[str, AnalysedRuleset]:
        canonicals = canonicals_of(session, organisation_id, lacking)
        return {content_hash: analyse_canonical(canonical) for content_hash, canonical in canonicals.items()}

    return _remembered(_RULESETS, hashes, read)


_LAYOUTS: dict[str, Mapping[str, Any]] = {}
_RULESETS: dict[str, AnalysedRuleset] = {}
"""Layouts and rulesets read last, by the hash of their content, which is the same in every database."""


def _remembered(
    cache: dict[str, Read], names: Collection[str], read: Callable[[Collection[str]], dict[str, Read]]
) -> dict[str, Read]:
    """Return the values of these names; read those that are not cached, all at once."""
    values_by_name = {name: value for name in names if (value := cache.get(name)) is not None}
    lacking = set(names).difference(values_by_name)
    if lacking:
        new = read(lacking)
        if len(cache) + len(new) > VERSIONS_KEPT:
            cache.clear()
        cache.update(new)
        values_by_name.update(new)
    return values_by_name
