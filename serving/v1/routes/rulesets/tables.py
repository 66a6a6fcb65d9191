"""Decision tables over HTTP: the cases of one rule as a CSV or a workbook, and a file's cases in a text."""

import base64
from typing import Annotated, Literal

from pydantic import Field

from fivefold.domain.errors import ConfigError
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.routes.rulesets.rulesets import RulesetChange
from fivefold.serving.v1.schemas import RequestModel, ResponseModel, Text
from fivefold.usecases.portfolio_files.decision_tables import Foreign
from fivefold.usecases.portfolio_files.sent_tables import (
    MOST_PAIRS,
    CaseTableFile,
    TableSent,
    export_table,
    import_table,
)
from fivefold.usecases.rulesets.read import read_draft, read_ruleset

Written = Literal["csv", "xlsx"]
Read = Literal["csv", "xlsx", "jdm", "dmn"]
ColumnName = Annotated[Text, Field(min_length=1, max_length=200)]


class TableWanted(RequestModel):
    """The id of a rule, the format, and the ruleset's text; null for the draft that is saved."""

    rule: Text
    format: Written = "csv"
    document: Text | None = None


class TableWritten(ResponseModel):
    """The cases of a rule. `content` is the text of a CSV; of a workbook it is its bytes in Base64."""

    rule: str
    format: Written
    file: str
    content: str


class TableGiven(RequestModel):
    """A file with the cases of a rule.

    `content` is its text; of a workbook it is its bytes in Base64. `document` is the ruleset's text, null for the draft
    that is saved. `table` and `names` are for JDM and DMN: the table's name, and what their columns are here.
    """

    rule: Text
    format: Read
    content: Text
    document: Text | None = None
    table: Text | None = None
    names: dict[ColumnName, ColumnName] = Field(default_factory=dict, max_length=MOST_PAIRS)


class TableTaken(ResponseModel):
    """A text in which the rule has the file's cases, what that changes, and what may be other than it was meant.

    `is_same`: it says what the text before said. Nothing is stored: `PUT /v1/rulesets/{family}/draft` saves it.
    """

    document: str
    is_same: bool
    before_hash: str
    after_hash: str
    changes: list[RulesetChange]
    notes: list[str]


def write_table(context: RequestContext, family: Text, body: TableWanted) -> TableWritten:
    """Write the cases of one rule as a decision table: a row each, in the order in which they are tried."""
    table = export_table(_document(context, family, body.document), body.rule, body.format)
    return TableWritten(rule=body.rule, format=body.format, file=table.name, content=content_told(table, body.format))


def read_table(context: RequestContext, family: Text, body: TableGiven) -> TableTaken:
    """Read a decision table into a text: one rule gets its cases. Each cell that cannot be read exactly is named."""
    content = content_given(body.content, body.format)
    table = TableSent(
        name=f"table.{body.format}", content=content, format=body.format, foreign=Foreign(body.table, body.names)
    )
    imported_table = import_table(_document(context, family, body.document), body.rule, table)
    return TableTaken(
        document=imported_table.text,
        is_same=imported_table.is_same,
        before_hash=imported_table.changes.before_hash,
        after_hash=imported_table.changes.after_hash,
        changes=[RulesetChange.of(change) for change in imported_table.changes.changes],
        notes=list(imported_table.notes),
    )


def _document(context: RequestContext, family: str, document: str | None) -> str:
    if document is None:
        return read_draft(context, family).document
    read_ruleset(context, family)
    return document


def content_told(table: CaseTableFile, format_: str) -> str:
    """Write a table's file as text; a workbook as its bytes in Base64."""
    return table.content.decode("utf-8-sig") if format_ == "csv" else base64.b64encode(table.content).decode()


def content_given(content: str, format_: str) -> bytes:
    """Read the bytes of a table's file from text; ConfigError for a workbook that is not Base64."""
    if format_ != "xlsx":
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except ValueError:  # text beyond ASCII is none of binascii.Error
        raise ConfigError("content is not Base64; a workbook is sent as its bytes in Base64") from None
