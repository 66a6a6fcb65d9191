"""The documents in the pages on flows and groups, as somebody meets them who copies them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.running import run, succeed

DOCS = Path(__file__).parents[3] / "docs"
SHIPPED = DOCS.parent / "flows" / "shipped"


def read_document(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def first_document(page: str, folder: Path) -> Path:
    """Write the first YAML block of a page into a file."""
    block = re.search(r"```yaml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert block
    path = folder / "document.yaml"
    path.write_text(block[1], encoding="utf-8")
    return path


def test_the_group_of_the_page_passes_its_examples(tmp_path: Path) -> None:
    path = first_document("groups.md", tmp_path)
    assert "1 group: no errors or warnings" in succeed(tmp_path, "groups", "lint", path, "--strict")
    assert "2 examples, 0 failed" in succeed(tmp_path, "groups", "test", path)


def test_somebody_without_a_level_who_moves_nothing_is_no_member(tmp_path: Path) -> None:
    path = first_document("groups.md", tmp_path)
    text = path.read_text()
    path.write_text(text.replace("[{amount: 25000, time: 2025-05-20}]}\n    member: unknown", "[]}\n    member: false"))
    assert path.read_text() != text
    assert "2 examples, 0 failed" in succeed(tmp_path, "groups", "test", path)


def test_the_flow_of_the_page_is_the_one_that_ships_with_two_of_its_examples(tmp_path: Path) -> None:
    path = first_document("flows.md", tmp_path)
    shown, shipped = (read_document(each.read_text(encoding="utf-8")) for each in (path, SHIPPED / "limits.yaml"))
    examples = shown.pop("examples")
    assert len(examples) == 2
    assert all(each in shipped["examples"] for each in examples)
    assert shown == {name: value for name, value in shipped.items() if name != "examples"}
    assert "1 flow: no errors or warnings" in succeed(tmp_path, "flows", "lint", path, "--strict")
    tested = run(tmp_path, "flows", "test", path)
    assert (tested.code, "2 examples, 0 failed" in tested.out, tested.out.count("not taken: ")) == (1, True, 13)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_page_of_a_flow_that_ships_has_its_steps_and_actions(path: Path) -> None:
    page = (DOCS / f"flow-{path.stem}.md").read_text(encoding="utf-8")
    flow = read_document(path.read_text(encoding="utf-8"))
    tables = [re.findall(r"^\| `(.+?)` \| (.*?) \| (.*?) \|$", part, re.MULTILINE) for part in page.split("\n## ")]
    steps, actions = (rows for rows in tables if rows)
    assert steps == [(each["id"], each["title"], " ".join(each.get("rationale", "").split())) for each in flow["steps"]]
    assert [row[:2] for row in actions] == [(each["id"], each["title"]) for each in flow["actions"]]
    for action, (_, _, written) in zip(flow["actions"], actions, strict=True):
        kind, _, value = written.strip("`").partition(": ")
        assert str(action[kind]) == value
    assert f"its {len(flow['examples'])} examples" in page
    assert f"it takes {' and '.join(f'`{name}`' for name in flow['on_failure'])}." in page


def test_the_group_of_the_page_that_flows_keep_is_right(tmp_path: Path) -> None:
    block = re.findall(r"```yaml\n(.*?)```", (DOCS / "groups.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "kept.yaml").write_text(block, encoding="utf-8")
    assert "1 group: no errors or warnings" in succeed(tmp_path, "groups", "lint", tmp_path / "kept.yaml", "--strict")
    assert "kept_by: flows" in block
    assert "Flows say who is a member" in succeed(tmp_path, "groups", "test", tmp_path / "kept.yaml")


def test_a_group_without_examples_fails_its_test_and_says_why(tmp_path: Path) -> None:
    path = first_document("groups.md", tmp_path)
    path.write_text(path.read_text(encoding="utf-8").partition("examples:")[0], encoding="utf-8")
    tested = run(tmp_path, "groups", "test", path)
    assert (tested.code, "FAILED: the group has no examples" in tested.out) == (1, True)
