"""What a person concerned may ask: what would change the level, a statement of it, the reply to a challenge."""

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from fivefold.console.levels.customer import READS_THRESHOLDS
from fivefold.console.texts import text
from fivefold.console.visit import Download, Rendered, Visit, address
from fivefold.risk.governance.what_if.search import WantedDirection
from fivefold.usecases.levels.entity_profile import read_entity
from fivefold.usecases.recourse.reply import Reply
from fivefold.usecases.recourse.statement import Form, Statement, give_statement
from fivefold.usecases.recourse.what_if import WhatIfShown, read_what_if

_JSON: Final = TypeAdapter(Statement)


def statement_json(visit: Visit) -> Download:
    """Give the statement of the assessment that the customer's page showed, as JSON."""
    statement = _give_statement(visit, "json")
    return Download(_name(statement, "json"), "application/json", json_of_statement(statement))


def statement_pdf(visit: Visit) -> Download:
    """Give the statement of the assessment that the customer's page showed, as PDF."""
    from fivefold.console.recourse.pdf import pdf_of_statement  # noqa: PLC0415 (imports ReportLab, for a rare request)

    statement = _give_statement(visit, "pdf")
    return Download(_name(statement, "pdf"), "application/pdf", pdf_of_statement(statement, visit.session.zone))


def json_of_statement(statement: Statement) -> bytes:
    """Write a statement as JSON, moments as ISO 8601."""
    return _JSON.dump_json(statement, by_alias=True, indent=2)


def _give_statement(visit: Visit, form: Form) -> Statement:
    return give_statement(visit, visit.typed("assessment", text("Assessment")), form)


def _name(statement: Statement, ending: str) -> str:
    return f"statement-{statement.assessment}.{ending}"


@dataclass(frozen=True, kw_only=True)
class WhatIfPage:
    """What would change a level.

    Attributes:
        customer: the address of their page.
        direction: down or up, as was asked for.
        erased_us: when what was personal was erased.
        what_if: None where there is no assessment, or it was erased.
        sees_thresholds: the reader may know to what a value would have to go, and what other cases give.
    """

    external_id: str
    customer: str
    direction: str
    erased_us: int | None
    what_if: WhatIfShown | None
    sees_thresholds: bool


def show_what_if(visit: Visit) -> Rendered:
    """Show what would move a customer's level, down or up."""
    direction = WantedDirection(visit.choice("direction", tuple(each.value for each in WantedDirection)))
    of = visit.parts["type"], visit.parts["external_id"]
    sees = visit.may(READS_THRESHOLDS)
    page = WhatIfPage(
        external_id=of[1],
        customer=address("entities", *of),
        direction=direction.value,
        erased_us=read_entity(visit, *of).erased_us,
        what_if=read_what_if(visit, *of, direction, with_thresholds=sees),
        sees_thresholds=sees,
    )
    title = text("What would change the level of {name}", name=of[1])
    return Rendered(template="recourse/what_if.html", title=title, page=page)


_REPLY_JSON: Final = TypeAdapter(Reply)


def json_of_reply(reply: Reply) -> bytes:
    """Write a reply as JSON, moments as ISO 8601."""
    return _REPLY_JSON.dump_json(reply, by_alias=True, indent=2)
