"""The model card as data, from which Markdown and the page are written: sentences, and the figures in them by name."""

from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fivefold.domain.text import percent

PERCENT = "percent"
"""How a share is written, with one decimal: see `domain.text.percent`."""
WHOLE_PERCENT = "whole_percent"
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _plain(value: Any) -> Any:
    """Turn a NumPy figure into a plain one, and one that JSON has no number for into text: so equal ones are equal."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    value = value.item() if hasattr(value, "item") else value
    return _NOT_FINITE.get(str(value), value) if isinstance(value, float) else value


Figure = Annotated[int | float | bool | str | None, BeforeValidator(_plain)]
"""A number, a word or nothing. `NaN`, `Infinity` and `-Infinity` are texts, as JSON has no such numbers."""
Fact = Annotated[int | float | bool | str | tuple[int | float | str, ...] | None, BeforeValidator(_plain)]


def words(fact: Any, form: str = "") -> str:
    """Write a figure.

    Args:
        fact: the figure; several are written one after the other.
        form: `percent` or `whole_percent` for a share, `and` before the last of several words, else a format of
            Python's. Words stay as they are.

    >>> words(1234.5, ",.2f"), words(0.25, "percent"), words((2.0, 3.0), "g"), words("too few", "g")
    ('1,234.50', '25.0 %', '2, 3', 'too few')
    """
    if isinstance(fact, tuple):
        if form == "and":
            return listed([words(one) for one in fact])
        return ", ".join(words(one, form) for one in fact)
    if fact is None or (isinstance(fact, str) and (not form or fact not in _NOT_FINITE.values())):
        return str(fact)
    number = float(fact) if isinstance(fact, str) else fact
    if form in {PERCENT, WHOLE_PERCENT}:
        return percent(number, 1 if form == PERCENT else 0)
    return format(number, form)


def listed(texts: Sequence[str]) -> str:
    """List texts with commas, and with 'and' before the last one.

    >>> listed(["May", "June", "July"]), listed(["May", "June"]), listed(["May"]), listed([])
    ('May, June and July', 'May and June', 'May', '')
    """
    return " and ".join([", ".join(texts[:-1]), *texts[-1:]]) if len(texts) > 1 else "".join(texts)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Sentence(_Part):
    """Words with figures in them."""

    text: str
    """With a name of *facts* in braces, and a form after a colon, where a figure stands; `code` and **strong** as in
    Markdown."""
    facts: dict[str, Fact] = {}
    """Figures by name, units last: `horizon_days`, `moved_share` (0 to 1); days as 2024-12-31."""

    @model_validator(mode="after")
    def _has_its_facts(self) -> Self:
        missing = [name for _, name, *_ in Formatter().parse(self.text) if name is not None and name not in self.facts]
        if missing:
            raise ValueError(f"the sentence names {', '.join(missing)}, which its facts lack")
        return self

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield the words before each figure, and the figure as written; it is empty after the last words."""
        for before, name, form, _ in Formatter().parse(self.text):
            yield before, "" if name is None else words(self.facts[name], form or "")

    def __str__(self) -> str:
        return "".join(part for pair in self.parts() for part in pair)


def say(text: str, /, **facts: Any) -> Sentence:
    """Make a sentence.

    >>> str(say("Learnt from {rows:,} rows.", rows=1200))
    'Learnt from 1,200 rows.'
    """
    return Sentence(text=text, facts=facts)


class Paragraph(_Part):
    """Sentences, each on a line of its own."""

    kind: Literal["paragraph"] = "paragraph"
    lines: tuple[Sentence, ...]

    def markdown(self) -> list[str]:
        """Write it."""
        return [str(line) for line in self.lines]


class Item(_Part):
    """A line of a list."""

    sentence: Sentence
    under: tuple[Sentence, ...] = ()
    """What belongs to it, as a list of its own."""


class Items(_Part):
    """A list."""

    kind: Literal["items"] = "items"
    items: tuple[Item, ...]

    def markdown(self) -> list[str]:
        """Write it."""
        return [
            line for item in self.items for line in (f"- {item.sentence}", *(f"    - {under}" for under in item.under))
        ]


class TableColumn(_Part):
    """A column of a table."""

    name: str
    """Of its figures, units last."""
    label: str
    """What stands above it; empty where that says itself."""
    form: str = ""
    """How its figures are written: see `Sentence.text`."""


class CardTable(_Part):
    """Figures in rows; the first column says what a row is of."""

    kind: Literal["table"] = "table"
    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Figure, ...], ...]

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"the table {self.caption!r} has a row that is not of {len(self.columns)} cells")
        return self

    def cells(self) -> list[list[str]]:
        """Return every figure as it is written."""
        return [[words(cell, column.form) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]

    def is_of_words(self, column: int) -> bool:
        """Check whether a column has no numbers."""
        return not self.columns[column].form and all(isinstance(row[column], str) for row in self.rows)

    def markdown(self) -> list[str]:
        """Write it below its caption."""
        head = "".join(f" {column.label} |" if column.label else " |" for column in self.columns)
        rows = (f"| {' | '.join(row)} |" for row in self.cells())
        return [f"**{self.caption}**", "", f"|{head}", "|" + "---|" * len(self.columns), *rows]


Block = Annotated[Paragraph | Items | CardTable, Field(discriminator="kind")]


class CardSection(_Part):
    """A part of the card."""

    name: str
    """By which a program finds it."""
    title: str
    """Empty where it goes on with what stands before."""
    blocks: tuple[Block, ...]

    def markdown(self) -> list[str]:
        """Write it, with an empty line after each block."""
        head = [f"## {self.title}", ""] if self.title else []
        return [*head, *(line for block in self.blocks for line in (*block.markdown(), ""))]


class ModelCard(_Part):
    """The card of a version of the value model: what it predicts, its data, its quality, and its limits.

    `model_card.json` is this; Markdown and the page are written from it and hold nothing else.
    """

    form: Literal[1] = 1
    """Of this schema; it grows where an older reader would misread."""
    name: str
    """Of the registered model."""
    kind: Literal["trained", "recalibrated"]
    content_hash: str
    """SHA-256 of the model."""
    title: str
    caution: str
    sections: tuple[CardSection, ...]

    def markdown(self) -> str:
        """Write the card in Markdown."""
        lines = [f"# {self.title}", "", f"> {self.caution}", ""]
        return "\n".join([*lines, *(line for section in self.sections for line in section.markdown())])

    def to_json(self) -> str:
        """Write the card as JSON, indented so that two cards can be compared by line."""
        return self.model_dump_json(indent=2) + "\n"


def paragraph(text: str, /, **facts: Any) -> Paragraph:
    """Make a paragraph of one line."""
    return Paragraph(lines=(say(text, **facts),))


def items(*sentences: Sentence | Item) -> Items:
    """Make a list."""
    return Items(items=tuple(each if isinstance(each, Item) else Item(sentence=each) for each in sentences))


def frame_table(
    table: pl.DataFrame, caption: str, labels: Mapping[str, str] | None = None, forms: Mapping[str, str] | None = None
) -> CardTable:
    """Make a table of a small frame.

    Args:
        table: its columns, in order.
        caption: what it shows.
        labels: the headings of columns; by default their names.
        forms: the formats of columns; by default figures are written as they are.

    >>> frame_table(pl.DataFrame({"group": ["a"], "mean": [1.234]}), "By group", forms={"mean": ".2f"}).markdown()
    ['**By group**', '', '| group | mean |', '|---|---|', '| a | 1.23 |']
    """
    labels, forms = labels or {}, forms or {}
    columns = tuple(
        TableColumn(name=name, label=labels.get(name, name), form=forms.get(name, "")) for name in table.columns
    )
    return CardTable(caption=caption, columns=columns, rows=tuple(table.iter_rows()))


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> CardTable:
    """Make a table of texts."""
    named = tuple(TableColumn(name=column, label=column) for column in columns)
    return CardTable(caption=caption, columns=named, rows=tuple(map(tuple, rows)))
