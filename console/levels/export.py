"""A customer's page to be taken away, as JSON and as PDF."""

from typing import Final, Literal

from pydantic import TypeAdapter

from fivefold.console.visit import Download, Visit
from fivefold.usecases.portfolio.export import CustomerExport, export_customer

_JSON: Final = TypeAdapter(CustomerExport)


def export_json(visit: Visit) -> Download:
    """Give the customer as JSON."""
    export = _export(visit, "json")
    return Download(_name(export, "json"), "application/json", _JSON.dump_json(export, by_alias=True, indent=2))


def export_pdf(visit: Visit) -> Download:
    """Give the customer as a PDF."""
    from fivefold.console.levels.pdf import pdf_of  # noqa: PLC0415 (imports ReportLab, for a rare request)

    export = _export(visit, "pdf")
    return Download(_name(export, "pdf"), "application/pdf", pdf_of(export, visit.session.zone))


def _export(visit: Visit, form: Literal["json", "pdf"]) -> CustomerExport:
    of = visit.parts["type"], visit.parts["external_id"]
    return export_customer(visit, *of, by=visit.session.member, form=form, valuer=visit.valuer, site=visit.site)


def _name(export: CustomerExport, ending: str) -> str:
    plain = "".join(each if _may_stand(each) else "_" for each in export.external_id)
    return f"{plain[:60]}.{ending}"


def _may_stand(character: str) -> bool:
    """Tell whether a character may stand in the name of a file on every system: of ASCII the plain ones alone."""
    return character.isalnum() or character in "-_." if character.isascii() else character.isprintable()
