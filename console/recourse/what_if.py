"""What would change a customer's level: the smallest changes, as far as the reader's role may know them."""

from dataclasses import dataclass

from fivefold.console.levels.customer import READS_THRESHOLDS
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address
from fivefold.risk.governance.what_if.search import WantedDirection
from fivefold.usecases.recourse.what_if import WhatIfShown, read_what_if


@dataclass(frozen=True, kw_only=True)
class WhatIfPage:
    """What would change a level.

    Attributes:
        customer: the address of their page.
        direction: down or up, as was asked for.
        what_if: None where there is no assessment, or it was erased.
        sees_thresholds: the reader may know to what a value would have to go, and what other cases give.
    """

    external_id: str
    customer: str
    direction: str
    what_if: WhatIfShown | None
    sees_thresholds: bool


def show_what_if(visit: Visit) -> Rendered:
    """Show what would move a customer's level, down or up."""
    direction = WantedDirection(visit.choice("direction", tuple(each.value for each in WantedDirection)))
    of = visit.parts["type"], visit.parts["external_id"]
    sees = visit.may(READS_THRESHOLDS)
    page = WhatIfPage(
        external_id=of[1],
        customer=address("entities", *of),
        direction=direction.value,
        what_if=read_what_if(visit, *of, direction, with_thresholds=sees),
        sees_thresholds=sees,
    )
    title = text("What would change the level of {name}", name=of[1])
    return Rendered(template="recourse/what_if.html", title=title, page=page)
