"""`fivefold flows import`: a graph of JDM becomes a draft that lints, or all that is wrong is said."""

import json
from pathlib import Path

from tests.cli.running import run, succeed
from tests.flows.foreign.graphs import INPUT, OUTPUT, graph, node, table

SIZE = table("size", ["customer.age"], ["p"], [({"customer.age": "> 5"}, {"p": "'big'"}), ({}, {"p": "'small'"})])
WAYS = [("in", "size"), ("size", "out")]


def test_a_graph_becomes_a_draft_that_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "Some_size.json"
    path.write_text(json.dumps(graph([INPUT, SIZE, OUTPUT], WAYS)))
    draft = tmp_path / "draft.yaml"
    said = run(tmp_path, "flows", "import", path, "-o", draft, "--map", "customer.age=age")
    assert said.code == 0
    assert "2 steps; it is not in force" in said.out
    assert "not imported: line" in said.out
    assert "unless on_unknown is written: at size" in said.err
    assert "flow: some-size" in draft.read_text()
    assert "fields: {age: number}" in draft.read_text()
    succeed(tmp_path, "flows", "lint", draft)
    again = run(tmp_path, "flows", "import", path, "-o", draft)
    assert again.code != 0
    assert "already exists; --replace overwrites it" in again.err
    assert run(tmp_path, "flows", "import", path, "-o", draft, "--replace", "--name", "other").code == 0
    assert "flow: other" in draft.read_text()
    assert run(tmp_path, "flows", "import", path, "-o", path).code != 0
    assert (
        "it must be number, text or flag"
        in run(tmp_path, "flows", "import", path, "-o", tmp_path / "x", "--kind", "a=b").err
    )


def test_what_cannot_be_said_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(graph([INPUT, node("size", "functionNode"), OUTPUT], WAYS)))
    refused = run(tmp_path, "flows", "import", path, "-o", tmp_path / "draft.yaml")
    assert refused.code != 0
    assert "node size: is a functionNode" in refused.err
    assert not (tmp_path / "draft.yaml").exists()
