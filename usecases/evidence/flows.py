"""Evidence of flows: what acted, by whom and why; where runs came to, what they did, who answered.

Customers are internal numbers. The reasons of answers and take-backs speak of a person, and are left out, as those of
overrides are: they stay with the run, and the audit log has a digest of each.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.governance.diff import diff_flows
from fivefold.store.evidence import archive_flows as rows_of
from fivefold.store.evidence.archive_flows import Period
from fivefold.store.tables.flows import FlowActivation, FlowReplay, FlowRow, FlowVersion
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.evidence.rulesets import InForce, in_force
from fivefold.usecases.evidence.runs import ACTIONS, COUNTS, ENDED_COUNTS, RUNS, VERSIONS, run_lines
from fivefold.usecases.flows.activate import activation_warning
from fivefold.usecases.shared.inputs import Quarter

ACTING: Final = frozenset({"active", "rollback", "off"})
SHADOWING: Final = frozenset({"shadow", "shadow_off"})
"""Kinds of changes that begin or end what acts, and what runs as a shadow."""


def flows_part(session: Session, connection: Connection, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect versions, changes of what acts, runs, answers, actions and shadows of a quarter."""
    period: Period = (quarter.from_us, quarter.until_us)
    of = (session, organisation_id, period)
    versions = rows_of.flow_versions(session, organisation_id)
    changes = rows_of.flow_activations_before(session, organisation_id, quarter.until_us)
    acted, shadowed = (list(flows_in_force(changes, kinds, quarter)) for kinds in (ACTING, SHADOWING))
    present = {force.version_id for force in (*acted, *shadowed)}
    listed = [
        (version, flow)
        for version, flow in versions
        if version.id in present or quarter.from_us <= version.committed_us < quarter.until_us
    ]
    numbers = {version.id: (flow.name, version.number) for version, flow in versions}
    in_quarter = [row for row in changes if row.at_us >= quarter.from_us]
    replays = rows_of.replays_done(session, organisation_id, [row.replay_id for row in in_quarter], period)
    runs, taken_back = rows_of.runs_begun_counted(*of), rows_of.taken_back_in(*of)
    files = [
        *(file for version, flow in listed for file in _files_of(version, flow, versions)),
        json_file(VERSIONS, [_version(version, flow, acted, shadowed) for version, flow in listed]),
        json_file("flows/activations.json", [_activation(row, numbers) for row in in_quarter]),
        json_file("flows/replays.json", [_replay(row, numbers) for row in replays]),
        json_file(COUNTS, _plain(runs)),
        json_file(ENDED_COUNTS, _plain(rows_of.runs_ended_counted(*of))),
        json_file("flows/outcomes.json", _plain(rows_of.outcomes_counted(*of))),
        File(RUNS, lambda: run_lines(*of)),
        File("flows/answers.jsonl", lambda: _answers(connection, organisation_id, period)),
        json_file(ACTIONS, _plain(rows_of.actions_counted(*of))),
        json_file("flows/taken-back.json", [_taken_back(row) for row in taken_back]),
        json_file("flows/shadows.json", _plain(rows_of.shadows_counted(*of))),
    ]
    counts = {
        "flows": len(listed),
        "flow_activations": len(in_quarter),
        "flow_replays": len(replays),
        "flow_runs": sum(row["runs"] for row in runs),
        "flow_actions_taken_back": len(taken_back),
    }
    return ArchiveSection(files, counts)


def flows_in_force(changes: Sequence[FlowActivation], kinds: frozenset[str], quarter: Quarter) -> Iterator[InForce]:
    """Tell which versions acted, or ran as a shadow, at some time of a quarter, and when; *changes* in their order."""
    return in_force([row for row in changes if row.kind in kinds], quarter, lambda row: row.flow_id)


def flow_document(flow: str, number: int) -> str:
    """Name the file of a version."""
    return f"flows/{flow}/{number:04}.yaml"


def _files_of(version: FlowVersion, flow: FlowRow, versions: Sequence[tuple[FlowVersion, FlowRow]]) -> Iterator[File]:
    yield text_file(flow_document(flow.name, version.number), version.document)
    before = [each for each, of in versions if of.id == flow.id and each.number == version.number - 1]
    if before:
        differences = diff_flows(*(analyse_canonical_flow(each.canonical).flow for each in (before[0], version)))
        lines = "".join(f"{line}\n" for line in differences.lines())
        yield text_file(f"flows/{flow.name}/{version.number:04}-diff.txt", lines)


def _version(
    version: FlowVersion, flow: FlowRow, acted: Sequence[InForce], shadowed: Sequence[InForce]
) -> dict[str, Any]:
    return {
        "flow": flow.name,
        "version": version.number,
        "content_hash": version.content_hash,
        "document": flow_document(flow.name, version.number),
        "pinned": version.pinned,
        "editors": version.editors,
        "committed_by": version.committed_by,
        "committed": optional_iso_text(version.committed_us),
        "tests": version.tests,
        "acted": _times(version.id, acted),
        "ran_as_shadow": _times(version.id, shadowed),
    }


def _times(version_id: int, forces: Sequence[InForce]) -> list[dict[str, str | None]]:
    return [
        {"from": optional_iso_text(force.from_us), "until": optional_iso_text(force.until_us)}
        for force in forces
        if force.version_id == version_id
    ]


def _activation(row: FlowActivation, numbers: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    flow, version = numbers.get(row.version_id or 0, (None, None))
    previous_flow, previous = numbers.get(row.previous_version_id or 0, (None, None))
    return {
        "activation": row.id,
        "kind": row.kind,
        "flow": flow or previous_flow,
        "version": version,
        "previous": previous,
        "by": row.actor,
        "why": row.reason,
        "at": optional_iso_text(row.at_us),
        "replay": row.replay_id,
        "warning": activation_warning(row.kind, row.replay_id),
    }


def _replay(row: FlowReplay, numbers: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    flow, version = numbers[row.version_id]
    return {
        "replay": row.id,
        "flow": flow,
        "version": version,
        "compared_with": numbers.get(row.base_version_id or 0, (None, None))[1],
        "as_of": optional_iso_text(row.as_of_us),
        "from": optional_iso_text(row.from_us),
        "until": optional_iso_text(row.until_us),
        "requested_by": row.requested_by,
        "requested": optional_iso_text(row.requested_us),
        "finished": optional_iso_text(row.finished_us),
        "report_hash": row.report_hash,
        "report": None if row.report is None else json.loads(row.report),
    }


def _answers(connection: Connection, organisation_id: int, period: Period) -> Iterator[bytes]:
    """Write who answered what, a line each; nobody is an answer too, by the worker."""
    for row in rows_of.answers_in(connection, organisation_id, period):
        outcome = json.loads(row["outcome"])
        line = {
            "run": f"f:{row['run_id']}",
            "flow": row["flow"],
            "version": row["version"],
            "entity": row["entity_id"],
            "step": row["step"],
            "answer": outcome.get("answer"),
            "reason_kept": bool(outcome.get("reason")),
            "by": row["actor"],
            "at": optional_iso_text(row["at_us"]),
        }
        yield (json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _taken_back(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "flow_action": row["id"],
        "flow": row["flow"],
        "version": row["version"],
        "run": f"f:{row['run_id']}",
        "entity": row["entity_id"],
        "action": row["action"],
        "kind": row["kind"],
        "taken": optional_iso_text(row["at_us"]),
        "taken_back": optional_iso_text(row["taken_back_us"]),
        "by": row["taken_back_by"],
    }


def _plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]
