"""The columns of a decision table: the text of a header, and the input that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fivefold.domain.text import perhaps
from fivefold.risk.compiler.value_types import UnknownNameError, Vocabulary, value_type_of_input
from fivefold.risk.governance.tables.cells import CellError, read_flow
from fivefold.risk.governance.tables.grid import MOST_ROWS, flow_text
from fivefold.risk.language.base import WHEN_USED, LanguageModel
from fivefold.risk.language.expressions import Input, input_key, word_of
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.operators import OPERATOR_KINDS
from fivefold.risk.language.policy import POLICY_INPUTS

CASE, WHEN, POINTS, FLOOR, TITLE = "case", "when", "points", "floor", "title"
OUTCOMES = (POINTS, FLOOR, TITLE)
OWN_WORDS = (CASE, WHEN, *OUTCOMES)
"""Columns that are not inputs."""

OTHERWISE, ON_UNKNOWN = "otherwise", "on_unknown"
REST = (OTHERWISE, ON_UNKNOWN)
"""The texts of the column `case` in the rows below the cases."""


@dataclass(frozen=True, kw_only=True)
class TableForm:
    """The form of the tables for one kind of document.

    Attributes:
        whole: what the rows of a table belong to, in words.
        number: the column that numbers the rows, and names those below them.
        outcomes: the columns of a row's outcome.
        needed: groups of these; the header must have one column of each group.
        below: the ones of these that the rows below the others may have.
        inputs: the adapter that reads an input from plain data.
        most_rows: the largest number of rows, including the header.
    """

    whole: str
    number: str
    outcomes: tuple[str, ...]
    needed: tuple[tuple[str, ...], ...]
    below: tuple[str, ...]
    inputs: TypeAdapter[LanguageModel]
    most_rows: int

    @property
    def own_words(self) -> tuple[str, ...]:
        """The columns that are not inputs."""
        return (self.number, WHEN, *self.outcomes)


RULE_FORM = TableForm(
    whole="rule",
    number=CASE,
    outcomes=OUTCOMES,
    needed=((POINTS, FLOOR),),
    below=(POINTS, FLOOR),
    inputs=TypeAdapter(Input, config=WHEN_USED),
    most_rows=MOST_ROWS,
)
"""The cases of a rule."""


def data_of_input(test: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a test that names its input, as plain data; empty if that is the rule's own.

    >>> data_of_input({"field": "country", "in": ["NO"]})
    {'field': 'country'}
    """
    return {word: value for word, value in test.items() if word not in OPERATOR_KINDS}


def in_reading_order(data: Any) -> Any:
    """Order the keys: first the one that names the input, then those that restrict it, then comparisons.

    >>> in_reading_order({"equals": "a", "over": "1 day", "sum": "amount"})
    {'sum': 'amount', 'over': '1 day', 'equals': 'a'}
    """
    if isinstance(data, list | tuple):
        return [in_reading_order(below) for below in data]
    if not isinstance(data, dict):
        return data
    first = word_of(data, ("pattern", *POLICY_INPUTS))
    words = sorted(data, key=lambda word: (word != first, word in OPERATOR_KINDS))
    return {word: in_reading_order(data[word]) for word in words}


def header_text(data: Mapping[str, Any], own_words: Sequence[str] = OWN_WORDS) -> str:
    """Write an input as the header of its column: only the name for a field, otherwise the keys of the language.

    >>> header_text({"field": "country"}), header_text({"sum": "amount", "over": "1 day"})
    ('country', 'sum: amount, over: 1 day')
    """
    name = data.get("field")
    if len(data) == 1 and isinstance(name, str) and name.lower() not in own_words:
        return name
    return flow_text(in_reading_order(data))[1:-1]


def read_header(text: str, names: Vocabulary, form: TableForm = RULE_FORM) -> tuple[LanguageModel, ValueType]:
    """Read an input from the header of its column, with the type of its values.

    Raises:
        CellError: the header names no input of the document.
    """
    if text.isidentifier():
        if text not in names.entity:
            fields = f"the fields are {', '.join(names.entity)}" if names.entity else "no fields are declared"
            near = perhaps(text, [*form.own_words, *names.entity])
            raise CellError(
                f"is the column {text}, which is neither a field nor one of {', '.join(form.own_words)}{near}; "
                f"{fields}; other inputs are written as in conditions, such as value: score"
            )
        data: Any = {"field": text}
    else:
        data = read_flow(text if text.startswith("{") else f"{{{text}}}")
    try:
        rule_input = form.inputs.validate_python(data, by_alias=True, by_name=False)
        return rule_input, value_type_of_input(rule_input, names)
    except ValidationError as error:
        problem = problem_of(error.errors(include_url=False)[0], list(names.entity), list(names.calculations))
        raise CellError(f"is the column {text!r}, which {problem}") from None
    except UnknownNameError as error:
        raise CellError(f"is the column {text!r}, which {error}") from None


def same_input(one: LanguageModel | None, other: LanguageModel | None) -> bool:
    """Check whether two inputs are the same, however they are written."""
    return one is not None and other is not None and input_key(one) == input_key(other)
