"""One assessment and its permanent address; a customer's whole history."""

from dataclasses import dataclass

from fivefold.charts.bars import Bar
from fivefold.console.levels.customer import DECIDERS, history_of, open_challenges, point_bars
from fivefold.console.levels.difference import ChangeHalf, change_since_before
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address
from fivefold.domain.paging import Page
from fivefold.usecases.accounts.readings import note_opened
from fivefold.usecases.levels.explain import Reasons, read_reasons
from fivefold.usecases.levels.read import AssessmentShown, HistoryLine, read_assessment
from fivefold.usecases.portfolio.sources import AssessmentSources, sources_of
from fivefold.usecases.recourse.challenges import ChallengeSummary


@dataclass(frozen=True, kw_only=True)
class AssessmentPage:
    """Why a level was what it was.

    Attributes:
        of: whom it is of, when it was made, and what decided.
        customer: the address of their page.
        reasons: None once they were erased.
        sources: from where the values of the reasons are; None with these.
        challenges: the open one of this assessment; none for those who may not see it.
    """

    number: str
    of: AssessmentShown
    customer: str
    reasons: Reasons | None
    sources: AssessmentSources | None
    bars: tuple[Bar, ...]
    change: ChangeHalf | None
    challenges: tuple[ChallengeSummary, ...]


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """A part of a customer's assessments, the latest first."""

    external_id: str
    customer: str
    lines: Page[HistoryLine]
    next: str | None


def show_assessment(visit: Visit) -> Rendered:
    """Show what held at an assessment, as it was stored."""
    number = visit.parts["assessment"]
    of, reasons = read_assessment(visit, number), read_reasons(visit, number)
    if reasons is not None and any(map(visit.may, DECIDERS)):
        note_opened(visit, visit.session.id, number)
    contested = open_challenges(visit, of.entity_type, of.external_id)
    page = AssessmentPage(
        number=number,
        of=of,
        customer=address("entities", of.entity_type, of.external_id),
        reasons=reasons,
        sources=sources_of(visit, number),
        bars=() if reasons is None else point_bars(reasons),
        change=change_since_before(visit, number),
        challenges=tuple(each for each in contested if each.assessment == number),
    )
    return Rendered(template="levels/assessment.html", title=text("Assessment {number}", number=number), page=page)


def show_history(visit: Visit) -> Rendered:
    """List a customer's assessments."""
    lines = history_of(visit, visit.part("history"))
    page = HistoryPage(
        external_id=visit.parts["external_id"],
        customer=address("entities", visit.parts["type"], visit.parts["external_id"]),
        lines=lines,
        next=visit.next_of("history", lines),
    )
    return Rendered(template="levels/history.html", title=text("History of {name}", name=page.external_id), page=page)
