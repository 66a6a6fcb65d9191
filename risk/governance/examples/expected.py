"""What examples expect, as columns, so that many rulesets can be compared with the same examples."""

from collections.abc import Mapping

import polars as pl

from fivefold.risk.engine.assessments import STATUS, Status
from fivefold.risk.engine.levels import LEVEL
from fivefold.risk.engine.program import TOTAL, Program
from fivefold.risk.engine.totals import points_column, rule_column, slot_column
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.language.ruleset import Ruleset

_LEVEL, _TOTAL, _STATUS, _FLOOR_BY = "expected level", "expected total", "expected status", "expected floor_by"


def _case_column(rule: str) -> str:
    return f"expected {rule_column(rule)}"


def expected_frame(ruleset: Ruleset, scale: int) -> pl.DataFrame:
    """Give a row for each example, in their order: what it expects, null where it does not say.

    Args:
        ruleset: with its examples.
        scale: how many units of the total make one point.

    Returns:
        `entity_id` (the example's position, as text); level (number), total (units), status, floor_by (a rule's id);
        and for each rule the slot of the expected case.
    """
    rows = []
    for number, example in enumerate(ruleset.examples):
        expect = example.expect
        slots = {_case_column(rule): _slot(ruleset, rule, case) for rule, case in expect.cases.items()}
        rows.append(
            {
                ENTITY: str(number),
                _LEVEL: None if expect.level is None else ruleset.level_number(expect.level),
                _TOTAL: None if expect.total is None else int(expect.total * scale),
                _STATUS: expect.status,
                _FLOOR_BY: expect.floor_by,
                **slots,
            }
        )
    kinds = {ENTITY: pl.String, _LEVEL: pl.Int64, _TOTAL: pl.Int64, _STATUS: pl.String, _FLOOR_BY: pl.String}
    return pl.DataFrame(rows, schema={**kinds, **{_case_column(rule.id): pl.UInt8 for rule in ruleset.rules}})


def _slot(ruleset: Ruleset, rule: str, case: int | str) -> int:
    after_cases: Mapping[int | str, int] = {"otherwise": 0, "unknown": 1}
    return case - 1 if isinstance(case, int) else len(ruleset.rule(rule).cases) + after_cases[case]


def differing(outcomes: pl.DataFrame, expected: pl.DataFrame, program: Program) -> list[int]:
    """Give the positions of the examples that come out otherwise than expected.

    Args:
        outcomes: of some examples, as `risk.engine.outcomes.assess_inputs` gives them.
        expected: as `expected_frame` gives it.
        program: that was run.
    """
    applies = pl.col(STATUS) != Status.NOT_APPLICABLE.value
    compared = [
        (_LEVEL, pl.col(LEVEL).cast(pl.Int64)),
        (_TOTAL, pl.col(TOTAL)),
        (_STATUS, pl.col(STATUS)),
        (_FLOOR_BY, pl.when(applies).then(program.floor_by)),
        *((_case_column(rule.rule.id), slot_column(pl.col(rule.column))) for rule in program.rules),
    ]
    other = [pl.col(name).is_not_null() & actual.ne_missing(pl.col(name)) for name, actual in compared]
    beside = outcomes.join(expected, on=ENTITY, how="left", maintain_order="left")
    return [int(name) for name in beside.filter(pl.any_horizontal(other))[ENTITY]]


def differing_by_rule(
    outcomes: pl.DataFrame, expected: pl.DataFrame, rule: str, codes: pl.Series, program: Program
) -> int | None:
    """Find an example that comes out otherwise by what one rule gives, whatever the rest gives; None for none so far.

    It does where it expects another case of that rule, or a total to which the rule now gives another part.

    Args:
        outcomes: of some examples as they are, which all come out as expected.
        expected: as `expected_frame` gives it.
        rule: that gives something else.
        codes: what it gives these examples.
        program: the ruleset as it is.
    """
    name, case = rule_column(rule), _case_column(rule)
    beside = outcomes.select(ENTITY, name, codes.alias("given")).join(
        expected.select(ENTITY, _TOTAL, case), on=ENTITY, how="left", maintain_order="left"
    )
    other_case = pl.col(case).is_not_null() & (slot_column(pl.col("given")) != pl.col(case))
    counts = all(weights.get(rule, 0) for weights in program.total.weights)
    other_total = pl.lit(counts) & pl.col(_TOTAL).is_not_null()
    other_total &= points_column(pl.col("given")) != points_column(pl.col(name))
    entities = beside.filter(other_case | other_total)[ENTITY]
    return int(entities[0]) if len(entities) else None
