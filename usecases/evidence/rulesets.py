"""Evidence of rulesets: what could decide in a quarter, what changed between versions, and what was tested.

A proposal that could change levels is tested like a version, and its backtests are here too.

A ruleset is as its authors wrote it. For entities that a backtest could not assess, the number and the rule are kept,
but not the value that prevented it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.governance.diff import diff
from fivefold.store.evidence.archive import (
    activations_before,
    backtests_in,
    threshold_reviews_in,
    versions_of_organisation,
)
from fivefold.store.rulesets.activations import deciding_changes
from fivefold.store.tables.flows import FlowActivation
from fivefold.store.tables.rulesets import Activation, Backtest, Family, RulesetVersion, ThresholdReview
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.shared.inputs import Quarter


@dataclass(frozen=True)
class InForce:
    """A version that decided, from a moment until another one did; `until_us` is None if it still does."""

    version_id: int
    from_us: int
    until_us: int | None


def rulesets_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect the versions that were committed, activated or in force, with their tests and reviews."""
    versions = versions_of_organisation(session, organisation_id)
    version_names = {version.id: (family.name, version.number) for version, family in versions}
    activations = activations_before(session, organisation_id, quarter.until_us)
    deciding = activations_that_decided(session, organisation_id, quarter.until_us)
    forces = list(in_force(deciding, quarter, lambda row: row.family_id))
    in_quarter = [row for row in activations if row.at_us >= quarter.from_us]
    decided_ids = {row.id for row in deciding}
    version_ids = {force.version_id for force in forces} | {row.version_id for row in in_quarter}
    lines = [
        (version, family)
        for version, family in versions
        if version.id in version_ids or quarter.from_us <= version.committed_us < quarter.until_us
    ]
    before = {(family.name, version.number): version for version, family in versions}
    tested = [row.backtest_id for row in in_quarter if row.backtest_id is not None]
    backtests = backtests_in(session, organisation_id, quarter.from_us, quarter.until_us, tested)
    reviews = threshold_reviews_in(session, organisation_id, quarter.from_us, quarter.until_us)
    files = [
        *(file for version, family in lines for file in _files_of(version, family, before)),
        json_file("rulesets/versions.json", [_version(version, family, forces) for version, family in lines]),
        json_file(
            "rulesets/activations.json",
            [_activation(row, version_names, row.id not in decided_ids) for row in in_quarter],
        ),
        json_file("rulesets/threshold-reviews.json", [_threshold_review(*each) for each in reviews]),
        *(_backtest_file(*each) for each in backtests),
    ]
    return ArchiveSection(files, {"rulesets": len(lines), "activations": len(in_quarter), "backtests": len(backtests)})


def activations_that_decided(session: Session, organisation_id: int, until_us: int) -> list[Activation]:
    """List the changes of which version decides before a moment, without activations of rulesets that were off."""
    changes = deciding_changes(session, Family.organisation_id == organisation_id)
    return [change.activation for change in changes if change.activation.at_us < until_us]


class VersionChange(Protocol):
    """A change of which version decides, from a moment on; none does if the version is None."""

    version_id: Any
    at_us: Any


Changed = TypeVar("Changed", bound=VersionChange)


def in_force(activations: Sequence[Changed], quarter: Quarter, of: Callable[[Changed], int]) -> Iterator[InForce]:
    """Yield the versions that were active at some time of a quarter, and when.

    Args:
        activations: in their order.
        quarter: the time that counts.
        of: returns what a change is of, so that changes of the same follow each other: a ruleset's family, or a flow.
    """
    families: dict[int, list[Changed]] = {}
    for row in activations:
        families.setdefault(of(row), []).append(row)
    for rows in families.values():
        ends: list[int | None] = [*(row.at_us for row in rows[1:]), None]
        for row, end in zip(rows, ends, strict=True):
            overlaps = row.at_us < quarter.until_us and (end is None or end > quarter.from_us)
            if row.version_id is not None and overlaps:
                yield InForce(row.version_id, row.at_us, end)


def _files_of(
    version: RulesetVersion, family: Family, versions: Mapping[tuple[str, int], RulesetVersion]
) -> Iterator[File]:
    place = f"rulesets/{family.name}/{version.number:04}"
    yield text_file(f"{place}.yaml", version.document)
    before = versions.get((family.name, version.number - 1))
    if before is not None:
        differences = diff(*(analyse_canonical(each.canonical).ruleset for each in (before, version)))
        numbers = {"before_version": before.number, "after_version": version.number}
        yield json_file(f"{place}-diff.json", {**differences.to_dict(), **numbers})
        yield text_file(f"{place}-diff.txt", "".join(f"{line}\n" for line in differences.lines()))


def _version(version: RulesetVersion, family: Family, forces: Sequence[InForce]) -> dict[str, Any]:
    return {
        "ruleset": family.name,
        "version": version.number,
        "content_hash": version.content_hash,
        "editors": version.editors,
        "committed_by": version.committed_by,
        "committed": optional_iso_text(version.committed_us),
        "tests": version.tests,
        "in_force": times_of(version.id, forces),
    }


def times_of(version_id: int, forces: Sequence[InForce]) -> list[dict[str, str | None]]:
    """List the beginnings and ends of the times in which a version was in force."""
    return [
        {"from": optional_iso_text(force.from_us), "until": optional_iso_text(force.until_us)}
        for force in forces
        if force.version_id == version_id
    ]


def change_line(
    word: str, row: Activation | FlowActivation, version_names: Mapping[int, tuple[str, int]]
) -> dict[str, Any]:
    """Describe a change of which version of a ruleset or a flow decides; *word*: which of the two."""
    name, version = version_names.get(row.version_id or 0, (None, None))
    previous_name, previous = version_names.get(row.previous_version_id or 0, (None, None))
    return {
        "activation": row.id,
        "kind": row.kind,
        word: name or previous_name,
        "version": version,
        "previous": previous,
        "by": row.actor,
        "why": row.reason,
        "at": optional_iso_text(row.at_us),
    }


def _activation(row: Activation, version_names: Mapping[int, tuple[str, int]], was_off: bool) -> dict[str, Any]:
    return {**change_line("ruleset", row, version_names), "backtest": row.backtest_id, "while_off": was_off}


def _threshold_review(row: ThresholdReview, ruleset: str, version: int) -> dict[str, Any]:
    return {
        "ruleset": ruleset,
        "version": version,
        "reviewed_quarter": row.quarter,
        "state": row.state,
        "finished": optional_iso_text(row.finished_us),
        "thresholds_of_the_quarter": row.thresholds,
        "draft_revision": row.draft_revision,
        "report": None if row.report is None else json.loads(row.report),
    }


def _backtest_file(row: Backtest, ruleset: str | None, entity_type: str) -> File:
    return json_file(
        f"backtests/{row.id:06}.json",
        {
            "backtest": row.id,
            "ruleset": ruleset,
            "proposal": row.proposal_id,
            "entity_type": entity_type,
            "content_hash": row.content_hash,
            "state": row.state,
            "requested_by": row.requested_by,
            "requested": optional_iso_text(row.requested_us),
            "finished": optional_iso_text(row.finished_us),
            "done": row.done,
            "total": row.total,
            "report": None if row.report is None else without_problems(json.loads(row.report)),
        },
    )


def without_problems(report: Any) -> Any:
    """Leave out what was wrong with values, since that quotes the values.

    >>> without_problems({"failures": [{"entity": "7", "rule": "age", "problem": "born is 'yesterday'"}]})
    {'failures': [{'entity': '7', 'rule': 'age'}]}
    """
    if isinstance(report, dict):
        return {name: without_problems(below) for name, below in report.items() if name != "problem"}
    return [without_problems(below) for below in report] if isinstance(report, list) else report
