"""A statement for the person concerned, to be taken away as PDF or JSON; that it was given is recorded."""

from typing import Final

from pydantic import TypeAdapter

from fivefold.console.visit import Download, Visit
from fivefold.domain.errors import NotFoundError
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.recourse.statement import Form, Statement, give_statement

_JSON: Final = TypeAdapter(Statement)


def statement_json(visit: Visit) -> Download:
    """Give the statement of a customer's last assessment as JSON."""
    statement = _given(visit, "json")
    return Download(_name(statement, "json"), "application/json", json_of_statement(statement))


def statement_pdf(visit: Visit) -> Download:
    """Give the statement of a customer's last assessment as PDF."""
    from fivefold.console.recourse.statement_pdf import pdf_of_statement  # noqa: PLC0415 (imports ReportLab, for a rare request)

    statement = _given(visit, "pdf")
    return Download(_name(statement, "pdf"), "application/pdf", pdf_of_statement(statement, visit.session.zone))


def json_of_statement(statement: Statement) -> bytes:
    """Write a statement as JSON, moments as ISO 8601."""
    return _JSON.dump_json(statement, by_alias=True, indent=2)


def _given(visit: Visit, form: Form) -> Statement:
    level = read_level(visit, visit.parts["type"], visit.parts["external_id"], Freshness.STORED)
    if level.assessment is None:
        raise NotFoundError(f"{visit.parts['type']} {visit.parts['external_id']!r} was never assessed")
    return give_statement(visit, level.assessment, form)


def _name(statement: Statement, ending: str) -> str:
    return f"statement-{statement.assessment}.{ending}"
