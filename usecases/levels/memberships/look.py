"""For whom the conditions of a type's groups hold, asked of the same facts as the level is computed from.

A group that cannot be asked, such as one whose list is gone, is unknown for everybody: it holds up no level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import structlog
from sqlalchemy.orm import Session

from fivefold.flows.groups.analysis import AnalysedGroup, analyse_canonical_group
from fivefold.flows.groups.membership import look_at_members
from fivefold.risk.facts.inputs import LEVEL_TYPES
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.store.groups.groups import TypeGroup, groups_looked_at
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.sql.failures import failure_text
from fivefold.usecases.levels.records import AssessmentRecord
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.worker")


@dataclass(frozen=True)
class GroupsOfType:
    """The groups that the entities of a type may be members of.

    Attributes:
        groups: in the order of their numbers.
        analysed: of each of them; None where it was retired, and its last members leave.
    """

    groups: tuple[TypeGroup, ...] = ()
    analysed: tuple[AnalysedGroup | None, ...] = ()

    @property
    def read(self) -> list[AnalysedGroup]:
        """What is read for them."""
        return [each for each in self.analysed if each is not None]


@dataclass(frozen=True)
class GroupLook:
    """What a group's condition came to for some entities as of one moment.

    Attributes:
        group: that was asked.
        on_unknown: what an entity becomes where it is unknown: keep, in or out.
        as_of_us: the moment.
        holds: by entity; None where it is unknown.
    """

    group: TypeGroup
    on_unknown: str
    as_of_us: int
    holds: Mapping[int, bool | None]


def groups_of_type(session: Session, type_id: int) -> GroupsOfType:
    """Read the groups of a type."""
    groups = groups_looked_at(session, type_id)
    analysed = (None if each.canonical is None else analyse_canonical_group(each.canonical) for each in groups)
    return GroupsOfType(tuple(groups), tuple(analysed))


def look_at_groups(
    groups: GroupsOfType, portfolio: Portfolio, records: Sequence[AssessmentRecord], as_of_us: int
) -> tuple[list[AssessmentRecord], tuple[GroupLook, ...]]:
    """Ask every group about the entities that were assessed.

    Args:
        groups: of their type.
        portfolio: with what `groups.read` reads, of no one else.
        records: their assessments, whose levels conditions may read.
        as_of_us: the moment.

    Returns:
        The assessments, each looked at again no later than a group's condition may change by time alone; and the looks.
    """
    if not groups.groups or not records:
        return [*records], ()
    everyone = replace(portfolio, levels=_levels(records), lists=portfolio.lists)
    first: dict[int, int] = {}
    looks = []
    for group, analysed in zip(groups.groups, groups.analysed, strict=True):
        if analysed is None:
            holds: dict[int, bool | None] = {record.entity_id: False for record in records}
            looks.append(GroupLook(group, "out", as_of_us, holds))
            continue
        try:
            answers = look_at_members(analysed, everyone, as_of_us, ahead=True)
        except UNEXPECTED_ERRORS as error:  # a group holds up no level: nobody is known to be in or out
            log.warning("group not asked", group=group.name, error=failure_text(error))
            looks.append(GroupLook(group, "keep", as_of_us, {record.entity_id: None for record in records}))
            continue
        for entity, _, moment in answers.iter_rows():
            if moment is not None:
                first[int(entity)] = min(moment, first.get(int(entity), moment))
        holds = {int(entity): answer for entity, answer, _ in answers.iter_rows()}
        looks.append(GroupLook(group, analysed.group.on_unknown, as_of_us, holds))
    return [_no_later(record, first.get(record.entity_id)) for record in records], tuple(looks)


def _no_later(record: AssessmentRecord, moment: int | None) -> AssessmentRecord:
    if moment is None or (record.next_us is not None and record.next_us <= moment):
        return record
    return record._replace(next_us=moment, next_reason=Reason.TIME)


def _levels(records: Sequence[AssessmentRecord]) -> pl.DataFrame:
    """Give the levels as conditions read them; computed at this moment, so of no age."""
    rows = [
        (str(each.entity_id), each.level, each.rules_level, each.status, each.level_source, 0.0) for each in records
    ]
    return pl.DataFrame(rows, schema={ENTITY: pl.String, **LEVEL_TYPES}, orient="row")
