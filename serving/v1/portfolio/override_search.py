"""Overrides by state, subject, actor and time; failures by subject and time."""

from typing import Literal

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Text
from fivefold.usecases.portfolio import failure_search, override_search
from fivefold.usecases.portfolio.failure_search import FailureFilters, FailureFound
from fivefold.usecases.portfolio.override_search import OverrideFilters, OverrideFound


class PageOfOverrides(PageQuery):
    """Which overrides: asked for from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`. `requested_by`: such as member:3, or the name of a member.
    """

    state: Literal["requested", "live", "expired", "refused", "revoked"] | None = None
    type: Text = "customer"
    external_id: Text | None = None
    requested_by: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_overrides(context: RequestContext, query: PageOfOverrides) -> Page[OverrideFound]:
    """List overrides, those asked for last first, with the names of members."""
    filters = OverrideFilters(
        state=query.state,
        entity=None if query.external_id is None else (query.type, query.external_id),
        requested_by=query.requested_by,
        since_us=query.since,
        until_us=query.until,
    )
    return override_search.search_overrides(context, filters, query.part)


class PageOfFailures(PageQuery):
    """Which failures: of assessments from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`, which is customer by default.
    """

    type: Text | None = None
    external_id: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_failures(context: RequestContext, query: PageOfFailures) -> Page[FailureFound]:
    """List entities that could not be assessed in full by subject and time, and why."""
    filters = FailureFilters(
        entity_type=query.type, external_id=query.external_id, since_us=query.since, until_us=query.until
    )
    return failure_search.search_failures(context, filters, query.part)
