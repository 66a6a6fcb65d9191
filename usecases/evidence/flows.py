"""Evidence of flows: what acted, by whom and why; where runs got, what they did, who answered.

Customers are internal numbers. The reasons of answers and take-backs speak of a person, and are left out, as those of
overrides are: they stay with the run, and the audit log has a digest of each. Each run is a line, with the versions of
everything that it used: the customer's data are left out, and `row_sha256` is the digest of the run's row in the audit
log, over a salt that is erased with the row.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from fivefold.domain.clock import iso_text
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.governance.diff import diff_flows
from fivefold.store.audit.bound_rows import digests
from fivefold.store.evidence import archive_flows as rows_of
from fivefold.store.evidence.archive_flows import Period, Row
from fivefold.store.tables.flows import FlowActivation, FlowReplay, FlowRow, FlowVersion
from fivefold.usecases.evidence.archive import MANIFEST, ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.evidence.rulesets import InForce, change_line, in_force, times_of
from fivefold.usecases.flows.activate import activation_warning
from fivefold.usecases.shared.inputs import Quarter

ACTING: Final = frozenset({"active", "rollback", "off"})
SHADOWING: Final = frozenset({"shadow", "shadow_off"})
"""The kinds of changes of what acts, and of what runs as a shadow."""
RUNS: Final = "flows/runs.jsonl"
COUNTS: Final = "flows/runs.json"
"""The counts of the runs that began in the quarter."""
ENDED_COUNTS: Final = "flows/runs-ended.json"
"""The counts of the runs that began before it, and ended in it; archives of older programs do not have it."""
ACTIONS: Final = "flows/actions.json"
VERSIONS: Final = "flows/versions.json"
_RUNS_AT_A_TIME = 500
_COUNTED: Final = ("flow", "version", "acting", "state", "at")
_COUNTED_ACTIONS: Final = ("flow", "version", "action", "kind", "subject")


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
    """Yield the versions that acted, or ran as a shadow, at some time of a quarter, and when; *changes* in order."""
    return in_force([row for row in changes if row.kind in kinds], quarter, lambda row: row.flow_id)


def flow_document(flow: str, number: int) -> str:
    """Return the name of the file of a version."""
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
        "acted": times_of(version.id, acted),
        "ran_as_shadow": times_of(version.id, shadowed),
    }


def _activation(row: FlowActivation, numbers: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    warning = activation_warning(row.kind, row.replay_id)
    return {**change_line("flow", row, numbers), "replay": row.replay_id, "warning": warning}


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
    """Yield who answered what, a line each; `nobody` is an answer too, given by the worker."""
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


def run_lines(session: Session, organisation_id: int, period: Period) -> Iterator[bytes]:
    """Yield the runs that began or ended in a period, a line each, by number; they are read some at a time."""
    reached = 0
    while runs := rows_of.runs_after(session, organisation_id, period, reached, _RUNS_AT_A_TIME):
        numbers = [run["id"] for run in runs]
        steps, actions = rows_of.steps_of_runs(session, numbers), rows_of.actions_of_runs(session, numbers)
        in_log = [run["id"] for run in runs if run["as_of_us"] is not None]
        bound = digests(session, "flow_runs", in_log).get("flow_runs", {})
        for run in runs:
            number = run["id"]
            line = _line(run, steps.get(number, ()), actions.get(number, ()), bound.get(f"{run['entity_id']}.{number}"))
            yield (json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n").encode()
        reached = numbers[-1]


def _line(run: Row, steps: Sequence[Row], actions: Sequence[Row], digest: str | None) -> dict[str, Any]:
    run_inputs = None if run["inputs"] is None else json.loads(run["inputs"])
    return {
        "run": f"f:{run['id']}",
        "flow": run["flow"],
        "version": run["version"],
        "content_hash": run["content_hash"],
        "acting": run["acting"],
        "entity": run["entity_id"],
        "cause": run["cause"],
        "by": run["actor"],
        "begun": optional_iso_text(run["begun_us"]),
        "as_of": optional_iso_text(run["as_of_us"]),
        "ended": optional_iso_text(run["ended_us"]),
        "state": run["state"],
        "at": run["stopped_at"],
        "does": run["does"],
        "rests_on": None if run_inputs is None else _rests_on(run_inputs),
        "engine": None if run["answer"] is None else json.loads(run["answer"])["engine"],
        "steps": [_step(each, is_gone=run["removed_by"] is not None) for each in steps],
        "actions": [_action(each) for each in actions],
        "removed_by_retention": run["removed_by"] is not None,
        "row_sha256": digest,
    }


def _rests_on(run_inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the versions of all that a run was made from."""
    return {
        **run_inputs["flow"]["asked"],
        **run_inputs["rests_on"],
        "lists": {name: iso_text(since_us) for name, since_us in run_inputs["lists"].items()},
        "base_currency": run_inputs["base"],
    }


def _step(step: Row, *, is_gone: bool) -> dict[str, Any]:
    """Return who or what answered a step, in which version; without the answer. A failure goes with the outcome."""
    outcome = json.loads(step["outcome"])
    model = outcome.get("model")
    return {
        "step": step["step"],
        "kind": step["kind"],
        "by": step["actor"],
        "at": optional_iso_text(step["at_us"]),
        "source": outcome.get("source"),
        "registration": outcome.get("registration"),
        "model": None if model is None else {name: model[name] for name in ("name", "alias", "version", "digest")},
        "failed": None if is_gone else outcome.get("failed") is not None,
    }


def _action(action: Row) -> dict[str, Any]:
    return {
        "flow_action": action["id"],
        "action": action["action"],
        "kind": action["kind"],
        "subject": action["subject"],
        "at": optional_iso_text(action["at_us"]),
        "taken_back": optional_iso_text(action["taken_back_us"]),
        "reviewed": optional_iso_text(action["done_us"]),
    }


def run_problems(archive: zipfile.ZipFile) -> Iterator[str]:
    """Compare the runs of an archive, line by line, with the counts of them in its other files.

    Empty for an archive from before runs were part of it. The files must be those of the manifest.
    """
    if RUNS not in archive.namelist():
        return
    try:
        quarter = json.loads(archive.read(MANIFEST))["quarter"]
        hashes = {(each["flow"], each["version"]): each["content_hash"] for each in json.loads(archive.read(VERSIONS))}
        begun, ended, actions = (Counter[tuple[Any, ...]]() for _ in range(3))
        reached = 0
        for line in _lines(archive):
            number = int(line["run"].removeprefix("f:"))
            if number <= reached:
                yield f"{RUNS}: {line['run']} stands behind f:{reached}; each run has one line, in their order"
            reached = number
            if hashes.get((line["flow"], line["version"]), line["content_hash"]) != line["content_hash"]:
                yield f"{RUNS}: {line['run']} has another hash of {line['flow']} {line['version']} than {VERSIONS}"
            runs = begun if quarter["from"] <= line["begun"] < quarter["until"] else ended
            runs[tuple(line[name] for name in _COUNTED)] += 1
            for action in line["actions"]:
                if quarter["from"] <= action["at"] < quarter["until"]:
                    actions[tuple({**line, **action}[name] for name in _COUNTED_ACTIONS)] += 1
        yield from _differences(archive, COUNTS, "runs", _COUNTED, begun)
        if ENDED_COUNTS in archive.namelist():
            yield from _differences(archive, ENDED_COUNTS, "runs", _COUNTED, ended)
        yield from _differences(archive, ACTIONS, "actions", _COUNTED_ACTIONS, actions)
    except (KeyError, TypeError, ValueError) as error:
        yield f"{RUNS}: cannot be checked: {error}"


def _lines(archive: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    with archive.open(RUNS) as opened:
        for line in opened:
            yield json.loads(line)


def _differences(
    archive: zipfile.ZipFile, name: str, what: str, by: tuple[str, ...], counts_in_runs: Counter[tuple[Any, ...]]
) -> Iterator[str]:
    counted = Counter({tuple(row[key] for key in by): row[what] for row in json.loads(archive.read(name))})
    for key in sorted(counted.keys() | counts_in_runs.keys(), key=str):
        if counted[key] != counts_in_runs[key]:
            words = ", ".join(f"{word} {value}" for word, value in zip(by, key, strict=True))
            yield f"{RUNS}: has {counts_in_runs[key]} {what} of {words}, and {name} has {counted[key]}"
