"""Decision tables in the editor: a rule's cases as a file for a spreadsheet, and back into the text."""

from dataclasses import dataclass, replace
from pathlib import PurePath

from fivefold.console.rulesets.text import typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Download, Visit
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.risk.governance.differences import DocumentChange
from fivefold.usecases.portfolio_files.sent_tables import TableSent, export_table, foreign_of, import_table
from fivefold.usecases.rulesets.overview import read_ruleset


@dataclass(frozen=True, kw_only=True)
class TableRead:
    """What became of a file with the cases of a rule.

    Attributes:
        file: its name.
        rule: the id of the rule.
        document: the text with the cases of the file; None where they could not be read.
        changes: from the text before to that one.
        notes: what may be other than it was meant.
        faults: why it could not be read, each with its cell.
    """

    file: str
    rule: str
    document: str | None = None
    changes: tuple[DocumentChange, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Finding, ...] = ()


def table_csv(visit: Visit) -> Answer:
    """Give the cases of a rule of the text that was typed as CSV."""
    return _file(visit, "csv")


def table_xlsx(visit: Visit) -> Answer:
    """Give the cases of a rule of the text that was typed as a workbook."""
    return _file(visit, "xlsx")


def _file(visit: Visit, format_: str) -> Download:
    _require_ruleset(visit)
    document = typed_document(visit)
    try:
        made = export_table(document, visit.typed("table_rule", text("Rule")), format_)
    except InvalidRulesetError as wrong:
        raise ConfigError(text("the text has faults, shown below; a table is made of a text without any")) from wrong
    return Download(made.name, made.media_type, made.content)


def read_file(visit: Visit) -> TableRead:
    """Read the file that was sent into the text that was typed; nothing is stored.

    ConfigError where there is no file, or it cannot be read at all; what is wrong cell by cell is among the faults.
    """
    _require_ruleset(visit)
    document, rule = typed_document(visit), visit.typed("table_rule", text("Rule"))
    if visit.file is None:
        raise ConfigError(text("no file was chosen"))
    name = PurePath(visit.file.name.replace("\\", "/")).name[-60:]
    foreign = foreign_of(visit.form.get("table_name", ""), visit.form.get("table_columns", ""))
    try:
        made = import_table(document, rule, TableSent(name=name, content=visit.file.content, foreign=foreign))
    except InvalidRulesetError as wrong:
        return TableRead(file=name, rule=rule, faults=tuple(wrong.findings))
    return TableRead(file=name, rule=rule, document=made.text, changes=tuple(made.changes.changes), notes=made.notes)


def with_table(visit: Visit, read: TableRead) -> Visit:
    """Give the visit as if the text with the file's cases had been typed."""
    return visit if read.document is None else replace(visit, form={**visit.form, "document": read.document})


def _require_ruleset(visit: Visit) -> None:
    """Raise NotFoundError where the address names a ruleset that is not there."""
    if "family" in visit.parts:
        read_ruleset(visit, visit.parts["family"])
