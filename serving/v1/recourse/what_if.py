"""What would move a level."""

from fivefold.risk.governance.what_if.search import WantedDirection
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, ResponseModel, Text
from fivefold.usecases.recourse import what_if as what_ifs
from fivefold.usecases.recourse.what_if import WhatIfShown
from fivefold.usecases.shared.actors import OF_VERSIONS


class WhatIfAsked(RequestModel):
    """Where the level is to move, and to which one; by default one step from the present."""

    direction: WantedDirection = WantedDirection.DOWN
    level: Text | None = None


class WhatIfOfEntity(ResponseModel):
    """What would move a level; null where there is no assessment, or it was erased."""

    what_if: WhatIfShown | None


def read_what_if(context: RequestContext, type_: Text, external_id: Text, query: WhatIfAsked) -> WhatIfOfEntity:
    """Find the smallest changes of one factor, or of two, that would move the level of an entity.

    From its last assessment as it was recorded. What a person can change is declared in the ruleset. Thresholds, other
    cases and the score then are for publishers alone.
    """
    everything = context.role in OF_VERSIONS
    what_if = what_ifs.read_what_if(
        context, type_, external_id, query.direction, query.level, with_thresholds=everything
    )
    return WhatIfOfEntity(what_if=what_if)
