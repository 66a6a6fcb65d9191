"""Lint as a compliance officer meets it: every seeded defect is found, with its rule and line, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.governance.lint import in_order
from fivefold.risk.governance.lint.ruleset import lint_document, lint_text, style_diagnostics
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_ruleset
from tests.risk.governance.linted import HERE, LISTS, changed, clean
from tests.risk.linted import lint

CLEAN = ("clean-points", "clean-tiers", "clean-weighted", "clean-calculations")


def told(text: str, *, notes: bool = False) -> list[str]:
    _, checked = lint_document(Document(text), LISTS, notes=notes)
    others = [finding for _, finding in checked if "has no on_unknown" not in finding.problem]  # test_doubts has these
    return [f"{'error' if finding.fatal else 'warning'} {finding}" for finding in others]


def defects() -> list[tuple[str, str, str, list[str]]]:
    """The blocks of defects.txt: the ruleset, what is taken out, what is put in, what is found."""
    found, name = [], ""
    for block in (HERE / "defects.txt").read_text(encoding="utf-8").split("\n\n"):
        lines = block.strip("\n").splitlines()
        if block.startswith("# "):
            name = block[2:]
        elif block.startswith("- "):
            before, after = (line[2:].replace("\\n", "\n") for line in lines[:2])
            found.append((name, before, after, [line[2:] for line in lines[2:]]))
    return found


def test_defects_are_read() -> None:
    assert {name for name, *_ in defects()} == set(CLEAN)
    assert len(defects()) >= 80
    assert all(finds for *_, finds in defects())


@pytest.mark.parametrize(("name", "before", "after", "finds"), defects(), ids=lambda part: str(part)[:40])
def test_a_seeded_defect_is_found(name: str, before: str, after: str, finds: list[str]) -> None:
    assert told(changed(name, before, after)) == finds


@pytest.mark.parametrize("name", CLEAN)
def test_in_a_clean_ruleset_nothing_is_found(name: str) -> None:
    assert told(clean(name), notes=True) == []


def test_a_calculation_is_changed_by_its_parts_alone() -> None:
    text = clean("clean-calculations").replace("- id: busy\n", "- id: busy\n    changeable: down\n")
    assert [line.partition(": ")[2] for line in told(text)] == [
        "rule busy, changeable: has no effect: another input is computed from this one, or this one from others"
    ]


@pytest.mark.parametrize(("decay", "has_effect"), [("", False), ("    decay: {half_life: 30 days}\n", True)])
def test_an_input_that_nothing_compares_cannot_be_changed(decay: str, has_effect: bool) -> None:
    head = "rules:\n  - id: opened\n    title: Opened\n    category: other\n    input: {max: amount, over: 99 days}\n"
    rule = f"    changeable: up\n{decay}    cases:\n      - {{when: {{field: kind, equals: person}}, points: 1}}\n"
    found = [line for line in told(clean("clean-points").replace("rules:\n", head + rule, 1)) if "changeable" in line]
    expected = "rule opened, changeable: has no effect: no condition compares the input"
    assert [line.partition(": ")[2] for line in found] == ([] if has_effect else [expected])


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[4] / "risk" / "rulesets").glob("*.yaml")), ids=str)
def test_what_ships_is_clean(path: Path) -> None:
    from fivefold.usecases.portfolio_files.bundled import bundled_lists

    _, findings = lint_text(path.read_text(encoding="utf-8"), bundled_lists())
    assert findings == []


def test_without_lists_they_could_not_be_looked_up() -> None:
    _, findings = lint_text(clean("clean-points"))
    assert [(str(finding), finding.fatal) for finding in findings] == [
        (
            "line 28: rule residence, case 1, when, in_list: names the list grey, but no lists were given",
            False,
        )
    ]


def test_a_ruleset_without_a_file_is_linted_without_lines() -> None:
    ruleset = read_ruleset(changed("clean-points", "{at_least: 10000}", "{at_least: 60000}"))
    (finding,) = lint(AnalysedRuleset(ruleset), LISTS)
    assert (finding.where, finding.line) == ("rule cash, case 2", None)


def test_what_cannot_be_read_is_told_by_the_reader() -> None:
    ruleset, findings = lint_text("ruleset: a")
    assert ruleset is None
    assert all(finding.fatal for finding in findings)
    assert "levels: is missing" in {str(finding).partition(": ")[2] for finding in findings}


def test_what_cannot_be_decided_is_a_note() -> None:
    """No text that is tried is so alike to one and so unlike to the other; that there is none is not shown by that."""
    alike = "{field: occupation, fuzzy: {to: dealer in arms, scorer: ratio, at_least: 60}}"
    unlike = "{not: {field: occupation, fuzzy: {to: dealer in arms, scorer: ratio, at_least: 59}}}"
    text = changed("clean-points", "{tag: vip, is: present}", f"{{all: [{alike}, {unlike}]}}")
    assert told(text) == []
    assert told(text, notes=True) == [
        "warning line 72: rule mixture, case 9: may be reachable or not: there are too many combinations to try",
    ]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{median: amount}", "{median: amount}"),
        ("{median: amount, over: 30 days}", None),
        ("{max: amount}", None),
    ],
)
def test_what_reads_all_of_history_is_a_note(value: str, named: str | None) -> None:
    """No doubt: what is meant of all time cannot be said otherwise; who runs it should know what it costs."""
    rule = (
        "\nrules:\n  - id: all-time\n    title: All time\n    category: other\n    rationale: Why not.\n"
        f"    input: {value}\n    cases:\n      - {{when: {{above: 5}}, points: 1}}\n"
    )
    text = clean("clean-points").replace("\nrules:\n", rule, 1)
    assert told(text) == []
    found = [note for note in told(text, notes=True) if "every transaction" in note]
    assert [note.partition(" for ")[2] for note in found] == ([] if named is None else [named])


def test_a_choice_of_weights_for_everyone_is_not_required() -> None:
    text = changed(
        "clean-weighted", "      - {use: retail}", "      - {when: {field: kind, equals: person}, use: retail}"
    )
    assert told(text) == []
    (note,) = told(text, notes=True)
    where = "warning line 13: score, weighted, weights_by"
    assert note == f"{where}: has no choice without a condition: an entity for which none holds fails, visibly"


def problems(text: str) -> list[tuple[Any, str]]:
    return [
        (fault.path, fault.problem)
        for fault in style_diagnostics(AnalysedRuleset(read_ruleset(text)))
        if fault.severity < 2
    ]


@pytest.mark.parametrize("name", ["clean-points", "clean-tiers", "clean-weighted"])
def test_a_clean_ruleset_has_all(name: str) -> None:
    assert problems(clean(name)) == []


@pytest.mark.parametrize(
    ("half_life", "over", "is_short"),
    [
        ("90 days", "180 days", False),
        ("90 days", "179 days", True),
        ("36 hours", "3 days", False),
        ("90 days", "6 months", False),
    ],
)
def test_a_decaying_rule_looks_back_two_half_lives(half_life: str, over: str, is_short: bool) -> None:
    text = changed("clean-points", "at_least: 3, over: 180 days", f"at_least: 3, over: {over}")
    found = problems(text.replace("half_life: 90 days", f"half_life: {half_life}"))
    assert [path for path, _ in found] == ([("rules", 2, "input", "over")] if is_short else [])


def test_a_window_without_an_end_is_long_enough() -> None:
    text = changed("clean-points", "input: {screening: pep}", "input: {count: cases}\n    decay: {half_life: 900 days}")
    assert problems(text) == []


def test_decay_without_points_has_no_effect() -> None:
    text = changed("clean-points", "points: 30}\n", "floor: high}\n").replace("points: 25, floor", "floor")
    assert problems(text) == [(("rules", 2, "decay"), "has no effect: no case gives points")]


def test_a_floor_of_otherwise_is_for_the_unknown_too() -> None:
    before = "otherwise: {points: 5}\n    on_unknown: {points: 15}"
    ((path, problem),) = problems(changed("clean-points", before, "otherwise: {floor: high}"))
    assert path == ("rules", 0, "otherwise", "floor")
    assert problem == "raises everyone for whom no case holds, or it is unknown"


def test_what_all_rules_of_a_text_take_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    undecided = "may be reachable or not: there are too many combinations to try"

    def count() -> int:
        return sum(undecided in line for line in told(clean("clean-points"), notes=True))

    decided = count()
    monkeypatch.setattr(in_order, "MOST_COMPARED_OF_A_TEXT", 0)
    assert count() > decided + 10
