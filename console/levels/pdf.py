"""A customer's page as PDF: the same sentences, factors and arithmetic."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from fivefold.console.texts import text
from fivefold.domain.clock import utc_text
from fivefold.usecases.portfolio.export import CustomerExport

_WIDTHS: Final = (150, 190, 50, 70)
"""Of the columns of factors, points of 1/72 inch."""


def pdf_of(export: CustomerExport) -> bytes:
    """Write the customer as a PDF: sentence first, then the table of factors, the value, and what is known."""
    styles = _styles()

    def said(words: str, style: str = "plain") -> Any:
        return Paragraph(escape(words), styles[style])

    story = [said(f"{export.external_id} ({export.entity_type})", "title"), said(_level(export)), Spacer(1, 6)]
    if export.sentence:
        story.append(said(export.sentence))
    if export.factors:
        story += [Spacer(1, 6), _factors(export, said)]
    story += [Spacer(1, 6), said(_worth(export))]
    known = [f"{name}: {value}" for name, value in export.attributes.items()]
    known += [text("Tag {tag} since {since}", tag=tag.tag, since=utc_text(tag.from_us)) for tag in export.tags]
    known += [
        text("Screening {name}: {found}", name=each.screening, found=text("hit") if each.found else text("clean"))
        for each in export.screenings
    ]
    story += [said(text("What is known"), "strong"), *(said(line) for line in known)]
    foot = text("Exported by {name}, {at}.", name=export.exported_by, at=utc_text(export.exported_us))
    if export.address is not None:
        foot += " " + text("Permanent address: {address}", address=export.address)
    story += [Spacer(1, 12), said(foot)]
    written = BytesIO()
    SimpleDocTemplate(written, pagesize=A4, title=export.external_id, author=export.exported_by).build(story)
    return written.getvalue()


def _factors(export: CustomerExport, said: Callable[..., Any]) -> Any:
    head = (text("Factor"), text("What was seen"), text("Points"), text("At least"))
    rows = [
        (
            rule.title,
            "; ".join(f"{seen.name}: {seen.value}" for seen in rule.values) or "–",
            rule.points,
            rule.floor or "–",
        )
        for rule in export.factors
    ]
    cells = [[said(each, "strong") for each in head], *([said(each) for each in row] for row in rows)]
    return Table(cells, colWidths=_WIDTHS, repeatRows=1, style=[("VALIGN", (0, 0), (-1, -1), "TOP")])


def _level(export: CustomerExport) -> str:
    if export.level is None:
        return text("Risk: {status}", status=export.status)
    said = text("Risk: {level}", level=export.level)
    if export.since_us is not None:
        said += " " + text("since {since}", since=utc_text(export.since_us))
    if export.overridden:
        said += ". " + text("An override holds; beneath it the rules say {level}", level=export.rules_level or "–")
    return f"{said}."


def _worth(export: CustomerExport) -> str:
    value = export.value
    if value is None or value.score is None:
        return text("There is no value.")
    said = text("Score {score} of 5, segment {segment}.", score=f"{value.score:.2f}", segment=value.segment)
    money = f"{value.expected_value:,.2f} {value.currency}"
    if value.horizon_days is None:
        return f"{said} " + text("Expected value {money}.", money=money)
    return f"{said} " + text("Expected value {money} over the next {days} days.", money=money, days=value.horizon_days)


@cache
def _styles() -> dict[str, Any]:
    """Make the styles, of a font that has the letters of most alphabets."""
    found = find_spec("matplotlib")
    folder = Path(found.origin or "").parent / "mpl-data" / "fonts" / "ttf" if found is not None else Path()
    plain, strong = "Helvetica", "Helvetica-Bold"
    if (folder / "DejaVuSans.ttf").is_file():
        plain, strong = "DejaVuSans", "DejaVuSans-Bold"
        for name in (plain, strong):
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    return {
        "plain": ParagraphStyle("plain", fontName=plain, fontSize=9, leading=12),
        "strong": ParagraphStyle("strong", fontName=strong, fontSize=9, leading=14),
        "title": ParagraphStyle("title", fontName=strong, fontSize=14, leading=20),
    }
