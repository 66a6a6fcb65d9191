"""A customer's page as PDF: the same sentences, factors, picture and arithmetic."""

import re
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from fivefold.charts.bars import PLOT_WIDTH, Bar
from fivefold.console.levels.difference import marked_title, points_waterfall
from fivefold.console.levels.values import interval_text
from fivefold.console.rendering import (
    attribute,
    day,
    kept_text,
    moment,
    reading_in,
    rounded,
    seen_value,
    sentence,
    signed,
    words,
)
from fivefold.console.texts import text
from fivefold.domain.segments import score_text
from fivefold.domain.text import unseen_numbered
from fivefold.usecases.levels.explain import ValueSeen
from fivefold.usecases.levels.overrides import OverrideLine
from fivefold.usecases.portfolio.export import CustomerExport, ExportedChallenge, ExportedValue

MARGIN: Final = 20 * mm
_WIDTHS: Final = (145, 180, 75, 80)
"""Of the columns of factors, points of 1/72 inch."""
_SIDES: Final = ("leftMargin", "rightMargin", "topMargin", "bottomMargin")
_ROW: Final = 15
_LABEL_SIZE: Final = 8
_COLOURS: Final = {"up": "#0072b2", "down": "#c25400", "whole": "#475569"}
_INK, _LINE = HexColor("#1f2937"), HexColor("#d5dbe3")
_ELSEWHERE: Final = (("STSong-Light", 0x2E80, 0x9FFF), ("HYSMyeongJo-Medium", 0xAC00, 0xD7A3))
"""Fonts that readers of PDF have for letters of East Asia, and the first and the last of these letters."""

_RIGHT_TO_LEFT: Final = (range(0x590, 0x900), range(0xFB1D, 0xFE00), range(0xFE70, 0xFF00))
"""Letters of Hebrew, Arabic and others that are written from right to left: here they would be drawn the other way."""


def pdf_of(export: CustomerExport, zone: str) -> bytes:
    """Write the customer as a PDF: sentence first, then the picture, the factors, the value, and what is known.

    Moments are in *zone* of the IANA database, with UTC beside. The open challenges stand before all else.
    """
    with reading_in(zone):
        story = [
            paragraph(f"{export.external_id} ({words(export.entity_type)})", "title"),
            *(paragraph(_contested(line), "strong") for line in export.open_challenges),
            paragraph(_level(export)),
            *([paragraph(sentence(export.sentence))] if export.sentence else []),
            Spacer(1, 6),
            *map(paragraph, _decided(export)),
            Spacer(1, 6),
            *_factors(export),
            *map(paragraph, filter(None, (_worth(export), _origin(export)))),
            Spacer(1, 6),
            *_facts_story(export),
            Spacer(1, 12),
            *_foot(export),
        ]
        head = f"{export.external_id}, {moment_text(export.exported_us)}"
    return pages_of(story, head, title=export.external_id, author=export.exported_by)


def pages_of(story: Sequence[Any], head: str, *, title: str, author: str, margin: float = MARGIN) -> bytes:
    """Write paragraphs and tables as pages, each with *head* and its number below; *margin* is on all four sides."""
    written = BytesIO()
    named = {"title": title, "author": author, "lang": "en"}
    pages = SimpleDocTemplate(written, pagesize=A4, **dict.fromkeys(_SIDES, margin), **named)
    pages.build(list(story), canvasmaker=partial(_Numbered, head=head, margin=margin))
    return written.getvalue()


class _Numbered(Canvas):  # type: ignore[misc]  # of a library without types
    """Writes below each page whose it is, and which of how many."""

    def __init__(self, *args: Any, head: str, margin: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head, self._margin, self._states = head, margin, list[dict[str, Any]]()

    def showPage(self) -> None:  # noqa: N802 (the library's name)
        """Keep the page until all are counted."""
        self._states.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Write the pages that were kept."""
        for number, state in enumerate(self._states, start=1):
            self.__dict__.update(state)
            count = text("Page {number} of {count}", number=number, count=len(self._states))
            foot = paragraph(f"{self._head} · {count}", "foot")
            foot.wrapOn(self, A4[0] - 2 * self._margin, self._margin)
            foot.drawOn(self, self._margin + 6, self._margin / 2)
            super().showPage()
        super().save()


def paragraph(written: str, style: str = "plain") -> Any:
    """Give plain text with its lines; a style is plain, strong, dense, fine, head (of dense ones), title or foot."""
    return Paragraph("<br/>".join(map(_with_fonts, written.splitlines())), _styles()[style])


def _with_fonts(written: str) -> str:
    """Escape text, with another font around letters that the file's own lacks, or their numbers in Unicode."""
    plain = _styles()["plain"].fontName
    pieces = ((font, escape(piece)) for font, piece in _pieces(written))
    return "".join(piece if font == plain else f'<font name="{font}">{piece}</font>' for font, piece in pieces)


def _pieces(written: str) -> Iterator[tuple[str, str]]:
    """Give each letter with a font that has it; without one, the letter's number in Unicode.

    Letters that are written from right to left are given as numbers too.
    """
    plain = _styles()["plain"].fontName
    glyphs = getattr(pdfmetrics.getFont(plain).face, "charToGlyph", None)
    for sign in unseen_numbered(written):
        if any(ord(sign) in letters for letters in _RIGHT_TO_LEFT):
            yield plain, f"[U+{ord(sign):04X}]"
        elif glyphs is None or ord(sign) in glyphs or not sign.isprintable():
            yield plain, sign
        elif (font := next((name for name, *ends in _ELSEWHERE if ends[0] <= ord(sign) <= ends[1]), None)) is not None:
            yield font, sign
        else:
            yield plain, f"[U+{ord(sign):04X}]"


def moment_text(time_us: int) -> str:
    """Write a moment as pages do, UTC in brackets."""
    return _plain(moment(time_us))


def _plain(written: str) -> str:
    return re.sub("<[^>]+>", "", re.sub("<small>(.*?)</small>", r"(\1)", str(written)))


def _factors(export: CustomerExport) -> list[Any]:
    if not export.factors:
        return []
    head = (text("Factor"), text("What was seen"), text("Points"), text("At least"))
    rows = [
        (
            marked_title(rule),
            "; ".join(map(_value_text, rule.values)) or "–",
            signed(rule.points),
            words(rule.floor) if rule.floor else "–",
        )
        for rule in export.factors
    ]
    cells = [[paragraph(each, "strong") for each in head], *([paragraph(each) for each in row] for row in rows)]
    look = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
    ]
    table = Table(cells, colWidths=_WIDTHS, repeatRows=1, splitInRow=1, hAlign="LEFT", style=look)
    bars = points_waterfall("0", [(marked_title(rule), rule.points) for rule in export.factors])[1:]
    return [*([_picture(bars), Spacer(1, 6)] if bars else []), table, Spacer(1, 6)]


def _value_text(value: ValueSeen) -> str:
    formula = f" ({sentence(value.formula)})" if value.formula else ""
    return f"{value.name}: {seen_value(value)}{formula}"


def _picture(bars: Sequence[Bar]) -> Drawing:
    """Draw the same waterfall as the page; the table beside it has the same numbers."""
    left, plot = 190.0, 220.0
    drawing = Drawing(left + plot + 60, _ROW * len(bars))
    font, of_unit = _styles()["plain"].fontName, plot / PLOT_WIDTH
    for number, bar in enumerate(bars):
        low = _ROW * (len(bars) - 1 - number)
        for piece in _label(bar.label, left - 6, low + 4):
            drawing.add(piece)
        fill = HexColor(_COLOURS[bar.kind])
        drawing.add(
            Rect(left + bar.x * of_unit, low + 2, bar.width * of_unit, _ROW - 5, fillColor=fill, strokeColor=None)
        )
        after = left + (bar.x + bar.width) * of_unit + 4
        drawing.add(String(after, low + 4, bar.number, fontName=font, fontSize=_LABEL_SIZE, fillColor=_INK))
        if number < len(bars) - 1:
            end = left + bar.end * of_unit
            drawing.add(Line(end, low + 2, end, low - 3, strokeColor=_INK, strokeWidth=0.5))
    return drawing


def _label(written: str, right: float, low: float) -> Iterator[String]:
    """Write the label of a bar up to *right*, each letter in a font that has it; its end is cut if it is too long."""
    pieces = [(font, piece, stringWidth(piece, font, _LABEL_SIZE)) for font, piece in _pieces(written)]
    if sum(width for *_, width in pieces) > right:
        plain = _styles()["plain"].fontName
        dots = (plain, "…", stringWidth("…", plain, _LABEL_SIZE))
        while sum(width for *_, width in (*pieces, dots)) > right:
            pieces.pop()
        pieces.append(dots)
    x = right - sum(width for *_, width in pieces)
    for font, piece, width in pieces:
        yield String(x, low, piece, fontName=font, fontSize=_LABEL_SIZE, fillColor=_INK)
        x += width


def _facts_story(export: CustomerExport) -> list[Any]:
    lines = [f"{words(name)}: {attribute(value)}" for name, value in export.attributes.items()]
    lines += [text("Tag {tag} since {since}", tag=tag.tag, since=moment_text(tag.from_us)) for tag in export.tags]
    lines += [
        text(
            "Screening {name}, {at}: {found}",
            name=each.screening,
            at=moment_text(each.at_us),
            found=text("hit") if each.found else text("clean"),
        )
        for each in export.screenings
    ]
    return [paragraph(text("What is known"), "strong"), *(paragraph(line) for line in lines or [text("None so far.")])]


def _foot(export: CustomerExport) -> list[Any]:
    foot = text("Exported by {name}, {at}.", name=export.exported_by, at=moment_text(export.exported_us))
    if export.address is not None:
        foot += " " + text("Permanent address: {address}", address=export.address)
    return [paragraph(foot)]


def _contested(line: ExportedChallenge) -> str:
    """Say that a person contests an assessment, as the page does."""
    sentence = text(
        "Challenge {number} is open: the person contests assessment {assessment}.",
        number=line.id,
        assessment=line.assessment,
    )
    due = {"at": moment_text(line.due_us)}
    ends = text("It was due by {at}.", **due) if line.overdue else text("It is due {at}.", **due)
    return f"{sentence} {ends}"


def _level(export: CustomerExport) -> str:
    if export.level is None:
        sentence = text("Risk: {status}", status=words(export.status))
    else:
        sentence = text("Risk: {level}", level=words(export.level))
        if export.since_us is not None:
            sentence += " " + text("since {since}", since=moment_text(export.since_us))
    failed = text("The last assessment failed.") if export.failing else kept_text(export.status, export.rules_level)
    newer = text("Data changed since then.") if export.refreshing else ""
    return " ".join(filter(None, (f"{sentence}.", failed, newer)))


def _decided(export: CustomerExport) -> Iterator[str]:
    """Say what decided beside the factors, when, and what may limit it, as the page does."""
    if export.override is not None:
        yield _override(export.override, export.rules_level)
    if export.may_move_down_us is not None:
        yield text("May move to a lower level from {day} on.", day=_plain(day(export.may_move_down_us)))
    if export.kept_by:
        keep = text(
            "These rulesets keep the customer as well, until it is known that they do not apply, so that a missing"
            " value does not lower the level"
        )
        yield f"{keep}: {', '.join(export.kept_by)}."
    if export.stale_rates_days:
        yield text("Money was converted at rates that were {days} days old.", days=export.stale_rates_days)
    if export.assessed_us is not None:
        when = text("Assessed {at}.", at=moment_text(export.assessed_us))
        if export.ruleset is None:
            yield when
        else:
            by = {"name": export.ruleset, "version": export.ruleset_version}
            yield f"{when} {text('Decided by ruleset {name} version {version}.', **by)}"


def _override(override: OverrideLine, rules_level: str | None) -> str:
    """Say what an override gave, until when it holds or held, why, by whom, and who ended it before."""
    named = {"level": words(override.level)}
    until = None if override.until_us is None else moment_text(override.until_us)
    if override.state == "live":
        sentence = text("An override holds: {level}", **named)
        sentence += ", " + (text("without an end") if until is None else text("until {moment}", moment=until))
    else:
        sentence = text("The level came from an override that has ended: {level}", **named)
        if override.state == "expired" and until is not None:
            sentence += ", " + text("by itself at {moment}", moment=until)
    sentence += ". " + text("Without it: {level}.", level=words(rules_level) if rules_level else "–")
    sentence += " " + text("Reason: {reason}", reason=override.reason)
    sentence += "\n" + text(
        "Requested by {name}, {at}.", name=override.requested_by, at=moment_text(override.requested_us)
    )
    if override.decided_by is not None and override.decided_us is not None:
        approval = {"name": override.decided_by, "at": moment_text(override.decided_us)}
        sentence += " " + _with_reason(text("Approved by {name}, {at}", **approval), override.decision_reason)
    if override.revoked_by is not None and override.revoked_us is not None:
        end = {"name": override.revoked_by, "at": moment_text(override.revoked_us)}
        sentence += "\n" + _with_reason(text("Ended by {name}, {at}", **end), override.revocation_reason)
    return sentence


def _with_reason(act: str, reason: str | None) -> str:
    return f"{act}: {reason}" if reason else f"{act}."


def _origin(export: CustomerExport) -> str:
    """Say of when the value is and of which model; empty without one."""
    value = export.value
    if value is None:
        return ""
    as_of = text("As of {moment}", moment=moment_text(value.as_of_us))
    if not value.model_version:
        return f"{as_of}."
    return f"{as_of}, {text('{model} version {version}.', model=value.model, version=value.model_version)}"


def _worth(export: CustomerExport) -> str:
    value = export.value
    if value is None:
        return text("There is no value: no model has scored this customer, or no transactions count.")
    if value.score is None or value.expected_value is None:
        since = f"{text('There has been no value since')} {_plain(day(value.as_of_us))}. {value.unexplained}".rstrip()
        return _superseded(value, since)
    sentences = text("Score {score} of 5, segment {segment}.", score=score_text(value.score), segment=value.segment)
    money = f"{rounded(value.expected_value, value.currency)} {value.currency}"
    if value.horizon_days is None:
        worth = text("Expected value {money}", money=money)
    else:
        worth = text("Expected value {money} over the next {days} days", money=money, days=value.horizon_days)
    sentences += f" {', '.join(filter(None, (worth, interval_text(value))))}."
    return _superseded(value, sentences)


def _superseded(value: ExportedValue, sentences: str) -> str:
    """Add to what a model said that another one serves, where that is yet to say its own."""
    if value.superseded_by is None or not value.model_version:
        return sentences
    words = {"said": value.model_version, "serves": value.superseded_by}
    if value.superseded_by == value.model_version:
        by = text("By version {said} of the value model; another model has this number now.", **words)
    else:
        by = text("By version {said} of the value model; version {serves} serves now.", **words)
    return f"{sentences} {by}"


@cache
def _styles() -> dict[str, Any]:
    """Make the styles, of a font that has the letters of Europe and many others."""
    matplotlib_spec = find_spec("matplotlib")
    folder = (
        Path(matplotlib_spec.origin or "").parent / "mpl-data" / "fonts" / "ttf"
        if matplotlib_spec is not None
        else Path()
    )
    plain, strong = "Helvetica", "Helvetica-Bold"
    if (folder / "DejaVuSans.ttf").is_file():
        plain, strong = "DejaVuSans", "DejaVuSans-Bold"
        for name in (plain, strong):
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    for name, *_ in _ELSEWHERE:
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return {
        "plain": ParagraphStyle("plain", fontName=plain, fontSize=9, leading=12, textColor=_INK),
        "strong": ParagraphStyle("strong", fontName=strong, fontSize=9, leading=14, textColor=_INK),
        "dense": ParagraphStyle("dense", fontName=plain, fontSize=8, leading=9.6, textColor=_INK),
        "fine": ParagraphStyle("fine", fontName=plain, fontSize=7, leading=8.2, textColor=_INK),
        "head": ParagraphStyle(
            "head", fontName=strong, fontSize=8, leading=9.6, spaceBefore=4, keepWithNext=True, textColor=_INK
        ),
        "title": ParagraphStyle("title", fontName=strong, fontSize=14, leading=20, textColor=_INK),
        "foot": ParagraphStyle("foot", fontName=plain, fontSize=7.5, leading=9, textColor=_INK),
    }
