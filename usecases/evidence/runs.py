"""Evidence of runs of flows: a line for each, with the versions of all that it rests on; and what is wrong with these.

Customers are internal numbers. What was read of them, what was answered, and why, is not there: `row_sha256` is the
digest of the run's row as the audit log has it, over a salt that is erased with the row.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.clock import iso_text
from fivefold.store.audit.bound_rows import digests
from fivefold.store.evidence import archive_flows as rows_of
from fivefold.store.evidence.archive_flows import Period, Row
from fivefold.usecases.evidence.archive import MANIFEST, optional_iso_text

RUNS: Final = "flows/runs.jsonl"
COUNTS: Final = "flows/runs.json"
"""Counts the runs that began in the quarter."""
ENDED_COUNTS: Final = "flows/runs-ended.json"
"""Counts those that began before, and ended in it; archives of older programs do not have it."""
ACTIONS: Final = "flows/actions.json"
VERSIONS: Final = "flows/versions.json"
_RUNS_AT_A_TIME = 500
_COUNTED: Final = ("flow", "version", "acting", "state", "at")
_COUNTED_ACTIONS: Final = ("flow", "version", "action", "kind", "subject")


def run_lines(session: Session, organisation_id: int, period: Period) -> Iterator[bytes]:
    """Write the runs that began or ended in a period, a line each, in the order of their numbers; some at a time."""
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
    """Name the versions of all that a run was made from."""
    return {
        **run_inputs["flow"]["asked"],
        **run_inputs["rests_on"],
        "lists": {name: iso_text(since_us) for name, since_us in run_inputs["lists"].items()},
        "base_currency": run_inputs["base"],
    }


def _step(step: Row, *, is_gone: bool) -> dict[str, Any]:
    """Say who or what answered a step, and in which version; not what. Whether it failed goes with the outcome."""
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
    """Compare the runs of an archive, line by line, with what its other files count of them.

    Nothing of an archive that was made before runs were in it. The files must be those of the manifest.
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
