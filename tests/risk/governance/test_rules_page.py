"""The pages of the language of rules: every example on them is read and linted."""

import re
from pathlib import Path
from textwrap import indent

import pytest

from fivefold.domain.clock import parse_moment
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.governance.examples.run import run_examples
from fivefold.risk.governance.lint.ruleset import lint_text
from fivefold.risk.language.calculations import OPERATIONS
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS
from fivefold.risk.language.operators import OPERATOR_KINDS
from fivefold.usecases.portfolio_files.bundled import bundled_lists

DOCS = Path(__file__).parents[3] / "docs"
FRONT = (DOCS / "rules.md").read_text(encoding="utf-8")
NAMES = ("conditions", "inputs", "links", "levels", "what-if", "purposes")
PAGE = "\n".join([FRONT, *((DOCS / f"rules-{name}.md").read_text(encoding="utf-8") for name in NAMES)])
RULESET, *BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RULES = [block for block in BLOCKS if block.startswith("- id:")]


def problems(text: str) -> list[str]:
    ruleset, found = lint_text(text, bundled_lists())
    assert ruleset is not None, found
    return [str(finding) for finding in found]


def test_the_ruleset_is_clean() -> None:
    assert problems(RULESET) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.splitlines()[0]))
def test_a_rule_is_clean_in_it(rule: str) -> None:
    assert len(RULES) == 3
    assert problems(RULESET.replace("\nexamples:", f"\n{indent(rule, '  ')}\nexamples:")) == []


def test_a_calculation_is_clean_in_it_and_its_examples_come_out() -> None:
    (block,) = (block for block in BLOCKS if block.startswith("calculate:"))
    text = RULESET.replace("\nrules:\n", f"\n{block}\n", 1)
    assert problems(text) == []
    given = "{kind: person, country: NO, income: 40000, transactions: [{amount: -12000, time: 2024-06-01}]}"
    text += f"  - {{name: spends, as_of: 2024-07-01, given: {given}, expect: {{cases: {{cash-share: 2}}}}}}\n"
    result = run_examples(analyse_text(text), bundled_lists(), parse_moment("2024-07-01")).results[-1]
    assert result.differences == ()
    shown = {rule.rule: rule.seen for rule in result.explanation.rules}
    assert f"{shown['cash-share']}\n" in PAGE


def test_groups_are_clean_in_it() -> None:
    (block,) = (block for block in BLOCKS if block.startswith("links:"))
    assert problems(RULESET.replace("\nrules:\n", f"\n{block}\n", 1)) == []


def test_its_weights_fit_its_rules_once_they_score() -> None:
    (weighted,) = (block for block in BLOCKS if block.startswith("score:"))
    text = re.sub(r"^score:\n.*\n", weighted, RULESET, flags=re.MULTILINE)
    text = re.sub(r"points: (-5|5)\b", "points: 6", re.sub(r"points: (70|20)\b", "points: 100", text))
    text = text.replace("\nexamples:", "    otherwise: {points: 1}\nexamples:", 1)
    assert problems(text) == []


def test_what_is_refused_for_its_purpose_is_refused_in_those_words() -> None:
    (block,) = (block for block in BLOCKS if block.startswith("ruleset:"))
    (error,) = (each for each in problems(block) if "for aml alone" in each)
    assert error.partition("rule occupation")[2] in " ".join(PAGE.split())


SAYINGS = re.findall(r"^\|[^|]+\|[^|]+\| `(.+)` \|$", FRONT, re.MULTILINE)
"""The examples of the table "I want to say"."""
OF_A_RULE = ("overridable", "decay", "changeable", "disclosable")


@pytest.mark.parametrize("saying", SAYINGS)
def test_an_example_of_the_table_fits_into_it(saying: str) -> None:
    if not saying.startswith(("{", "input:", *OF_A_RULE)):
        assert saying in "\n".join([RULESET, *BLOCKS])
        return
    text = RULESET.replace("\nrules:\n", "\nreference: our-peers\nrules:\n", 1)
    for block in BLOCKS:
        if block.startswith(("calculate:", "links:")):
            text = text.replace("\nrules:\n", f"\n{block}\n", 1)
    own = saying if saying.startswith("input:") else f"input: {{sum: amount}}\n    {saying}"
    when = saying if saying.startswith("{") else "present"
    rule = "" if saying.startswith("{") else f"    {own}\n"
    rule += f"    cases: [{{when: {when}, points: 1, floor: high}}]\n"
    rule = f"\n  - id: said\n    title: Said\n    category: other\n    rationale: So.\n{rule}"
    assert analyse_text(text.replace("\nexamples:", f"{rule}\nexamples:")).diagnostics == ()


def test_every_word_is_explained() -> None:
    named = set(re.findall(r"[a-z_]+", PAGE))
    assert set(OPERATIONS) | {"of", "calculation"} <= named
    assert set(OPERATOR_KINDS) | set(TRANSACTION_FIELDS) | set(CASE_FIELDS) <= named
