"""A condition as one expression: true, false, or null where it is unknown.

Polars' own &, | and ~ are Kleene's: AND with a false is false, OR with a true is true, whatever is unknown beside.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Any

import polars as pl

from fivefold.risk.compiler.operators import Lists, comparison
from fivefold.risk.compiler.values import Column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import All, Any_, Not, OwnTest, input_of_test
from fivefold.risk.language.operators import Operators

Resolve = Callable[[LanguageModel], Column]
"""Finds the column of an input."""


@dataclass
class Compiler:
    """Compiles the conditions of one place: a rule, a `where`, the predicate of a ruleset.

    Attributes:
        resolve: finds the column of an input that a test names.
        lists: members of the named lists.
        own: the column of the rule's own input, where there is one.
        reads: names of the columns that what was compiled so far reads.
    """

    resolve: Resolve
    lists: Lists
    own: Column | None = None
    reads: dict[str, None] = field(default_factory=dict)

    def condition(self, condition: Any) -> pl.Expr:
        """Compile a condition."""
        if isinstance(condition, All):
            return reduce(and_, map(self.condition, condition.all))
        if isinstance(condition, Any_):
            return reduce(or_, map(self.condition, condition.any))
        if isinstance(condition, Not):
            return ~self.condition(condition.negated)
        return self._test(OwnTest.model_validate({"is": condition}) if isinstance(condition, str) else condition)

    def _test(self, test: Operators) -> pl.Expr:
        subject = input_of_test(test)
        column = self.own if subject is None else self.resolve(subject)
        assert column is not None  # lint refuses a comparison that has nothing to compare
        self.reads[column.name] = None
        parts = [comparison(operator, column, value, self.lists) for operator, value in test.comparisons()]
        return reduce(and_, parts)
