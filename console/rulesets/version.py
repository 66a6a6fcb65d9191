"""One version: its changes, the results of its examples and its backtest, its text; and its activation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.rulesets.backtest import MoveMatrix, matrix_of
from fivefold.console.rulesets.text import TextLine, numbered_lines
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.usecases.accounts.settings import read_settings
from fivefold.usecases.changes.backtests import report_of, request_backtest
from fivefold.usecases.rulesets.activate import activate, backtest_of_activation, what_stands_against
from fivefold.usecases.rulesets.read import (
    RulesetLine,
    VersionState,
    VersionView,
    compare_versions,
    read_ruleset,
    read_version,
    read_version_state,
)


@dataclass(frozen=True, kw_only=True)
class RulesetVersionPage:
    """One version.

    Attributes:
        state: its state.
        against: the number of the version that it is compared with; None if there is no other.
        difference: the difference from that version to this one.
        others: numbers of versions to compare with: the one that decides, the one before, and the chosen one.
        backtest: the number of the newest finished backtest of its content; None if there is none.
        matrix: the moves by that backtest.
        bar: the item of the queue from which the person came.
        hindrances: why this person cannot activate it now; None if it decides already.
    """

    ruleset: RulesetLine
    address: str
    state: VersionState
    version: VersionView
    lines: tuple[TextLine, ...]
    against: int | None
    others: tuple[int, ...]
    difference: DocumentDifference | None
    backtest: int | None
    bar: QueueBar | None
    matrix: MoveMatrix | None
    hindrances: tuple[str, ...] | None

    @property
    def tests(self) -> Mapping[str, Any]:
        """Return the results of its examples at the commit."""
        return self.version.tests


def show_version(visit: Visit) -> Rendered:
    """Show a version beside the one that decides, or beside the one before if it decides itself."""
    family, number = visit.version_of("family")
    version = read_version(visit, family, number)
    ruleset, state = read_ruleset(visit, family), read_version_state(visit, family, number)
    active = None if ruleset.active is None else ruleset.active.number
    backtest = backtest_of_activation(visit, family, number)
    chosen, others = visit.versions_beside(number, active)
    page = RulesetVersionPage(
        ruleset=ruleset,
        address=address("rulesets", family, "versions", str(number)),
        state=state,
        version=version,
        lines=numbered_lines(version.document),
        against=chosen,
        others=others,
        difference=None if chosen is None else compare_versions(visit, family, number, chosen),
        backtest=backtest,
        bar=queue_bar(visit),
        matrix=None if backtest is None else matrix_of(report_of(visit, backtest), read_settings(visit).levels),
        hindrances=None if state.active else what_stands_against(visit, family, number),
    )
    title = text("{family} version {number}", family=family, number=number)
    return Rendered(template="rulesets/version.html", title=title, page=page)


def ask_for_backtest(visit: Visit) -> Answer:
    """Request a backtest of a version; if one of its content is under way, nothing more happens."""
    request_backtest(visit, *visit.version_of("family"))
    return Redirect(visit.path, "backtest-requested")


def activate_version(visit: Visit) -> Answer:
    """Let a version decide; a person who did not write it confirms that they have checked its backtest."""
    family, number = visit.version_of("family")
    read_version(visit, family, number)
    reason = visit.confirmed_reason(text("confirm that you have checked what changes and the backtest"))
    activate(
        visit,
        family,
        number,
        reason,
        expected_active=visit.shown_number("active"),
        expected_backtest=visit.shown_number("backtest"),
        expected_hash=visit.shown_hash(),
    )
    return Redirect(visit.path + visit.trail, "activated")
