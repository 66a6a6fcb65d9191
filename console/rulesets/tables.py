"""Decision tables in an editor: export of a table of the text as a file, and import into the text."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

from fivefold.console.rulesets.text import typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Download, Rendered, Upload, Visit
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.risk.governance.differences import DocumentChange
from fivefold.usecases.portfolio_files.decision_tables import TableDraft
from fivefold.usecases.portfolio_files.sent_tables import (
    CaseTableFile,
    TableSent,
    export_table,
    foreign_of,
    import_table,
)
from fivefold.usecases.rulesets.read import read_ruleset


@dataclass(frozen=True, kw_only=True)
class TableRead:
    """The outcome of reading a file with a decision table.

    Attributes:
        file: its name.
        part: the id of the rule or of the step whose table it is.
        document: the text with the content of the file; None if the file could not be read.
        changes: the changes of the text.
        notes: what may differ from what was meant.
        faults: why it could not be read, each with its cell.
    """

    file: str
    part: str
    document: str | None = None
    changes: tuple[DocumentChange, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class EditorTables:
    """The decision tables of an editor's text; nothing is stored.

    Attributes:
        require: raises NotFoundError if the address names a ruleset or a flow that does not exist.
        export: writes a table of a text as a file, by the id of its rule or step, in a format.
        take: reads a file into a text.
    """

    require: Callable[[Visit], object]
    export: Callable[[str, str, str], CaseTableFile]
    take: Callable[[Visit, str, str, TableSent], TableDraft]

    def csv(self, visit: Visit) -> Answer:
        """Return a table of the typed text as CSV."""
        return self._file(visit, "csv")

    def xlsx(self, visit: Visit) -> Answer:
        """Return a table of the typed text as a workbook."""
        return self._file(visit, "xlsx")

    def _file(self, visit: Visit, format_: str) -> Download:
        self.require(visit)
        document = typed_document(visit)
        try:
            table = self.export(document, _part(visit), format_)
        except InvalidRulesetError as wrong:
            problem = text("the text has faults, shown below; a table needs a text without faults")
            raise ConfigError(problem) from wrong
        return Download(table.name, table.media_type, table.content)

    def read_file(self, visit: Visit, show: Callable[[Visit, TableRead], Rendered]) -> Rendered:
        """Read the sent file into the typed text, and show the changes.

        ConfigError if there is no file, or it cannot be read at all; faults are shown cell by cell.
        """
        self.require(visit)
        document, part = typed_document(visit), _part(visit)
        file = sent_file(visit)
        foreign = foreign_of(visit.form.get("table_name", ""), visit.form.get("table_columns", ""))
        table = TableSent(name=file.name, content=file.content, foreign=foreign)
        try:
            imported_table = self.take(visit, document, part, table)
        except InvalidRulesetError as wrong:
            refused = TableRead(file=file.name, part=part, faults=tuple(wrong.findings))
            return replace(show(visit, refused), status=422)
        read = TableRead(
            file=file.name,
            part=part,
            document=imported_table.text,
            changes=tuple(imported_table.changes.changes),
            notes=imported_table.notes,
        )
        return show(with_document(visit, imported_table.text), read)


def sent_file(visit: Visit) -> Upload:
    """Return the sent file, with a name without folders; ConfigError if none was chosen."""
    if visit.file is None:
        raise ConfigError(text("no file was chosen"))
    return replace(visit.file, name=PurePath(visit.file.name.replace("\\", "/")).name[-60:])


def with_document(visit: Visit, document: str) -> Visit:
    """Return the visit with another typed text."""
    return replace(visit, form={**visit.form, "document": document})


def _part(visit: Visit) -> str:
    return visit.typed("table_of", text("Decision table"))


def _require_ruleset(visit: Visit) -> None:
    if "family" in visit.parts:
        read_ruleset(visit, visit.parts["family"])


TABLES: Final = EditorTables(
    _require_ruleset, export_table, lambda _, document, rule, file: import_table(document, rule, file)
)
"""Export and import of the cases of a ruleset's rules."""
