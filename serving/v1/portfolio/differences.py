"""The difference between two assessments, over HTTP."""

from typing import Annotated

from pydantic import Field

from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, Text
from fivefold.usecases.portfolio import differences
from fivefold.usecases.portfolio.differences import AssessmentDifference

Numbered = Annotated[Text, Field(max_length=30)]


class ComparedAssessment(RequestModel):
    """The earlier assessment; by default the one before."""

    earlier: Numbered | None = None


def read_difference(context: RequestContext, assessment: Numbered, query: ComparedAssessment) -> AssessmentDifference:
    """Show what changed from an earlier assessment of the same entity: factors, points and level."""
    return differences.compare_assessments(context, assessment, query.earlier)
