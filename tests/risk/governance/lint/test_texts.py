"""Texts that are not what they look like are doubts, each at its line."""

import pytest

from fivefold.risk.governance.lint.ruleset import lint_text
from tests.risk.governance.linted import LISTS, changed


@pytest.mark.parametrize(
    ("before", "after", "where", "problem"),
    [
        (
            "levels: [low, medium, high, critical]",
            "levels: [low, medium, high, h\u0456gh]",
            "level 4",
            "is the level h\u0456 (U+0456)gh, which looks like high and is another one: write high if that is meant",
        ),
        (
            "title: Cash",
            'title: "Resid\u0435nce"',
            "cash",
            "is the title Resid\u0435 (U+0435)nce, which looks like Residence",
        ),
        (
            "title: Cash",
            'title: "Ca\\u202esh"',
            "cash",
            "has characters that are not seen: Ca[U+202E]sh; write it without",
        ),
        (
            "equals: cash}",
            'equals: "cash "}',
            "cash",
            "has white space around it, and texts are compared exactly: write it without that",
        ),
        (
            "equals: cash}",
            'equals: "ca\\tsh"}',
            "cash",
            "has the control character U+0009, and texts are compared exactly: write it without that",
        ),
        ("[NO, SE]", "[SE, S\u0415]", "residence", "is the value S\u0415 (U+0415), which looks like SE"),
    ],
)
def test_what_looks_like_something_else_is_a_doubt(before: str, after: str, where: str, problem: str) -> None:
    findings = lint_text(changed("clean-points", before, after), LISTS)[1]
    (finding,) = [each for each in findings if problem in each.problem]
    assert where in finding.where
    assert finding.line
