"""References for peers over HTTP: asked for, built from the platform's own portfolio, and shown."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, MomentGiven, RequestModel, Text
from fivefold.usecases.changes import reference_fit, references
from fivefold.usecases.changes.reference_fit import ReferenceShown, ReferenceState
from fivefold.usecases.changes.references import ReferenceJobLine


class ReferenceWanted(RequestModel):
    """The version of the ruleset whose peers are counted."""

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]


class VersionAt(RequestModel):
    """The version in force at a moment; without one that of now, or the first to come."""

    at: MomentGiven | None = None


def request_reference(context: RequestContext, family: Text, body: ReferenceWanted) -> ReferenceJobLine:
    """Ask for a reference portfolio of everyone on whom a ruleset decides. A worker builds it.

    It is then proposed as a version of the ruleset's list, and another person approves it. One that waits or runs for
    the same version is given instead of another one.
    """
    return references.request_reference(context, family, body.version)[0]


def list_references(context: RequestContext, family: Text, query: PageQuery) -> Page[ReferenceJobLine]:
    """List the reference portfolios that were asked for a ruleset, the newest first, and how far each is."""
    return references.list_reference_jobs(context, family, query.part)


def read_reference_state(context: RequestContext, family: Text) -> ReferenceState | None:
    """Tell how a ruleset stands with its reference portfolio: old, of too few peers, or without what is read.

    Nothing is answered where it places nothing among peers.
    """
    return reference_fit.read_reference_state(context, family)


def read_reference(context: RequestContext, name: Text, query: VersionAt) -> ReferenceShown:
    """Show a version of a reference portfolio: moment and currency of its numbers, and the peers of each group."""
    return reference_fit.read_reference_version(context, name, query.at)
