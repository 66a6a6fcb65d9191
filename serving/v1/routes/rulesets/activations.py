"""Activations, rollbacks and backtests of rulesets."""

from typing import Annotated, Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.routes.changes import Proposed
from fivefold.serving.v1.routes.rulesets.rulesets import Rate
from fivefold.serving.v1.schemas import LARGEST, WHOLE, Number, Reason, RequestModel, Seen, SeenHash, Text
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.usecases.changes import asks, backtests
from fivefold.usecases.changes.backtests import BacktestLine, MoverLine
from fivefold.usecases.rulesets import activate as activations
from fivefold.usecases.rulesets import threshold_reviews
from fivefold.usecases.rulesets.activate import ActivationLine
from fivefold.usecases.rulesets.threshold_reviews import ThresholdReviewLine


class ActivationGiven(RequestModel):
    """The version that is to decide, and why; who activates neither edited nor committed it."""

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]
    reason: Reason
    per_second: Rate = PER_SECOND


class VersionsSeen(ActivationGiven):
    """The same, and what was looked at; what is not given is not checked.

    `expected_active` is the version that decided then, and `expected_hash` the content hash of the version.
    """

    expected_active: Seen | None = None
    expected_hash: SeenHash | None = None


class ActivationConfirmed(VersionsSeen):
    """The same, and `expected_backtest`: the backtest of the content that was looked at."""

    expected_backtest: Seen | None = None


class RollbackGiven(VersionsSeen):
    """The version that is to decide again, and why; `release` levels that only the present one raised."""

    release: bool = False


class BacktestGiven(RequestModel):
    """A version, or null for the draft."""

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None


class BacktestCancelled(RequestModel):
    """Why it is not wanted any more."""

    reason: Reason


class OfMovers(PageQuery):
    """Those who go from one place, or to one: levels, or a reason for none such as `(not_applicable)`."""

    level_before: Text | None = None
    level_after: Text | None = None


def activate(context: RequestContext, family: Text, body: ActivationConfirmed) -> None:
    """Let a version decide from now on. It needs a finished backtest, and another person than its editors."""
    expected = (body.expected_active, body.expected_backtest, body.expected_hash)
    activations.activate(context, family, body.version, body.reason, body.per_second, *expected)


def roll_back(context: RequestContext, family: Text, body: RollbackGiven) -> Proposed:
    """Propose to let a version decide again that did before."""
    outcome = asks.roll_back(
        *(context, family, body.version, body.reason, body.per_second),
        release=body.release,
        expected_active=body.expected_active,
        expected_hash=body.expected_hash,
    )
    return Proposed.of(outcome)


def list_activations(context: RequestContext, family: Text, query: PageQuery) -> Page[ActivationLine]:
    """List what was activated, rolled back and switched, the newest first, and the progress of the reassessment."""
    return activations.list_activations(context, family, query.part)


def request_backtest(context: RequestContext, family: Text, body: BacktestGiven) -> BacktestLine:
    """Ask for a backtest, which runs in the background."""
    return backtests.request_backtest(context, family, body.version)


def list_backtests(context: RequestContext, family: Text, query: PageQuery) -> Page[BacktestLine]:
    """List the backtests of a ruleset, the newest first."""
    return backtests.list_backtests(context, family, query.part)


def list_threshold_reviews(context: RequestContext, family: Text, query: PageQuery) -> Page[ThresholdReviewLine]:
    """List where each quarter's portfolio would have a ruleset's thresholds, the newest first."""
    return threshold_reviews.list_threshold_reviews(context, family, query.part)


def read_backtest(context: RequestContext, backtest: Number) -> dict[str, Any]:
    """Show what a backtest that is done has found."""
    return backtests.report_of(context, backtest)


def list_movers(context: RequestContext, backtest: Number, query: OfMovers) -> Page[MoverLine]:
    """List the entities whose level, by the rules alone, a finished backtest would change."""
    return backtests.list_movers(context, backtest, query.level_before, query.level_after, query.part)


def cancel_backtest(context: RequestContext, backtest: Number, body: BacktestCancelled) -> BacktestLine:
    """Cancel a backtest that waits or runs."""
    return backtests.cancel_backtest(context, backtest, body.reason)
