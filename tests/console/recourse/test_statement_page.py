"""The PDF of a statement: one page, also of all factors of a shipped ruleset that a person may see."""

import re

import pytest

from fivefold.console.recourse.pdf import pdf_of_statement
from fivefold.risk.compiler.value_types import inputs_of_rule
from fivefold.risk.engine.explain.personal import PersonalWording, person_name
from fivefold.risk.governance.disclosure import is_disclosable
from fivefold.usecases.portfolio_files.bundled import bundled_lists, load_ruleset
from fivefold.usecases.recourse.statement import PRINCIPLES, DataStated, FactorStated, Statement, VariationStated


def stated_of(name: str) -> Statement:
    """Every factor that may be shown, each kind of its data with a value and another one."""
    analysed = load_ruleset(name)
    wording = PersonalWording("EUR", {each.name: each.title or "" for each in bundled_lists().values()})
    factors = []
    for rule in analysed.ruleset.rules:
        if is_disclosable(rule, analysed):
            names = [person_name(each, wording) for each in dict.fromkeys(inputs_of_rule(rule))]
            data = tuple(DataStated(each, "10,000.00 EUR") for each in names)
            other = VariationStated(
                name=names[0], value="below 5,000.00 EUR", effect="has no effect", points=None, level=None
            )
            factors.append(
                FactorStated(
                    title=rule.title,
                    category=rule.category,
                    why=rule.rationale,
                    data=data,
                    effect="raises the risk",
                    points=None,
                    at_least=None,
                    variations=(other,),
                )
            )
    return Statement(
        assessment="222.2",
        entity_type="customer",
        external_id="user_000222",
        as_of_us=0,
        principles=PRINCIPLES,
        level=None,
        total=None,
        held_floor=None,
        factors=tuple(factors),
    )


@pytest.mark.parametrize(
    ("name", "factors"),
    [("fatf-retail", 13), ("eu-bank-weighted", 5), ("session-verification", 11), ("transaction-monitoring", 11)],
)
def test_a_statement_of_a_shipped_ruleset_is_one_page(name: str, factors: int) -> None:
    statement = stated_of(name)
    assert len(statement.factors) == factors
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf_of_statement(statement, "UTC"))) == 1
