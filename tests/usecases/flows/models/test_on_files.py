"""Models that are asked for a file: those that are named, and no others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fivefold.cli.main import app
from tests.usecases.flows.models.registering import Shelf, booster, shelves, table
from tests.usecases.flows.models.test_runs import LEAVING

FLOW = LEAVING.replace("{transaction: amount}", "{field: age}").replace(
    "fields: {income: number}", "fields: {income: number, age: number}"
)
PEOPLE = [
    {"entity_id": "a", "age": 79, "income": 4000},
    {"entity_id": "b", "age": 21, "income": 0},
    {"entity_id": "c", "income": 1},
]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    yield from shelves(tmp_path / "var")


def run(folder: Path, *options: str) -> tuple[int, str]:
    (folder / "flow.yaml").write_text(FLOW.replace("triggers: [{on: transaction}]\n", ""))
    (folder / "people.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in PEOPLE))
    command = ["flows", "run", str(folder / "flow.yaml"), str(folder / "people.jsonl"), *options]
    done = CliRunner().invoke(app, [*command, "--output", str(folder / "ends.jsonl")])
    return done.exit_code, done.output if done.exception is None else f"{done.output}{done.exception}"


def ends(folder: Path) -> list[str]:
    return [json.loads(line)["at"] for line in (folder / "ends.jsonl").read_text().splitlines()]


def test_a_model_is_asked_where_it_is_named(shelf: Shelf, tmp_path: Path) -> None:
    shelf.churn()
    assert run(tmp_path)[0] == 0
    assert ends(tmp_path) == ["churn"] * 3
    code, said = run(tmp_path, "--ask-model", "churn")
    assert code == 0, said
    given = booster().predict(table()[:0].reindex(range(2)).assign(age=[79.0, 21.0], income=[4000.0, 0.0]))
    assert ends(tmp_path) == [*("likely" if each >= 0.5 else "stays" for each in given), "unknown"]
    code, said = run(tmp_path, "--ask-model", "chrun")
    assert code != 0
    assert "the flow asks no such model; it asks churn" in " ".join(said.split())
