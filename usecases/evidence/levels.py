"""Evidence of levels: how many stood at each level as a quarter began and at the ends of its months, and who moved."""

from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.store.evidence.archive import transitions_in
from fivefold.store.ingest.entities import types_of_organisation
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text
from fivefold.usecases.portfolio.migration import LevelsAtMoment, levels_at_month_ends
from fivefold.usecases.shared.inputs import Quarter

_MONTHS = 4
"""Those of a quarter, and the one before, at whose end the quarter begins."""


def levels_part(session: Session, organisation_id: int, quarter: Quarter, now_us: int) -> ArchiveSection:
    """Collect the numbers at each level by type, and the levels reached; of a quarter that runs those of now at last.

    Erased entities are counted where they stood.
    """
    settings = session.get(OrganisationSettings, organisation_id)
    if settings is None:
        return ArchiveSection([json_file("levels.json", [])], {})
    names = (None, *settings.levels)
    last = from_microseconds(min(quarter.until_us - 1, now_us)).date()
    reached = transitions_in(session, organisation_id, quarter.from_us, quarter.until_us)
    types = []
    for kind in types_of_organisation(session, organisation_id):
        moments = levels_at_month_ends(session, organisation_id, kind.id, last, _MONTHS, now_us)
        types.append(
            {
                "entity_type": kind.name,
                "moments": [_moment(each) for each in moments if each.until_us >= quarter.from_us],
                "transitions": [
                    {"from": names[before or 0], "to": names[after or 0], "cause": cause, "entities": count}
                    for type_id, before, after, cause, count in reached
                    if type_id == kind.id
                ],
            }
        )
    return ArchiveSection([json_file("levels.json", types)], {})


def _moment(at: LevelsAtMoment) -> dict[str, Any]:
    by_level = {each.level: each.entities for each in at.levels}
    return {"before": optional_iso_text(at.until_us), "entities": at.entities, "levels": by_level}
