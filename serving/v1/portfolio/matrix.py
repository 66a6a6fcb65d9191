"""Value and risk of a portfolio at once."""

from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, Text
from fivefold.usecases.portfolio.matrix import Matrix, value_and_risk


class OfType(RequestModel):
    """The type of entity."""

    type: Text


def read_matrix(context: RequestContext, query: OfType) -> Matrix:
    """Count the customers of a type, and add up their expected values, at each level in each segment."""
    return value_and_risk(context, query.type)
