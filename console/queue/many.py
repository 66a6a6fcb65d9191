"""Acts on many items at once: assign, tag, compute again. An override is always asked for one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final
from urllib.parse import parse_qsl

from fivefold.console.queue.page import ItemLine
from fivefold.console.queue.place import filter_text, page_of_item
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, whole_number
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError, NotFoundError
from fivefold.usecases.changes import facts
from fivefold.usecases.levels import read
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.queue.items import QueueItem, change_item, read_item
from fivefold.usecases.shared.inputs import FEW_DIGITS, checked_reason, digits

MOST_AT_ONCE: Final = 50
SECONDS: Final = 10.0
"""Computing levels for longer would keep the person, and others, waiting."""
TAG: Final = "PUT /v1/entities/{type}/{external_id}/tags/{tag}"
COMPUTE: Final = "GET /v1/entities/{type}/{external_id}/risk"


@dataclass(frozen=True, kw_only=True)
class ManyPage:
    """What became of each item that was chosen.

    Attributes:
        done: those of which it was done, and its result where that is not plain.
        refused: those of which it was not done, and why.
        queue: the address of the filtered queue.
    """

    done: tuple[tuple[ItemLine, str], ...]
    refused: tuple[tuple[ItemLine | None, str], ...]
    queue: str


def assign_many(visit: Visit) -> Rendered:
    """Assign each chosen item to one member, or to nobody, where nobody changed it since it was shown."""
    typed = visit.form.get("assigned_to", "").strip()
    member = whole_number(typed, text("Assigned to")) if typed else None

    def assign(item: QueueItem, revision: int) -> str:
        change_item(visit, visit.role, item.item, revision, assigned_to=member)
        return ""

    return _each(visit, assign)


def tag_many(visit: Visit) -> Rendered:
    """Set a tag on the customer of each chosen item; it is proposed where a level would fall."""
    tag = visit.typed("tag", text("Tag"))
    reason = visit.form.get("reason", "").strip()
    if reason:
        checked_reason(reason)

    def set_tag(item: QueueItem, _: int) -> str:
        outcome = facts.request_tag(visit, *_customer(item), tag, reason=reason)
        if outcome.proposal is not None:
            return text("proposed, as it may lower the level")
        return "" if outcome.changes else text("had the tag already, so nothing was changed")

    return _each(visit, set_tag)


def compute_many(visit: Visit) -> Rendered:
    """Compute the level of each chosen customer again, as far as that takes no longer than `SECONDS`."""
    until = monotonic() + SECONDS

    def compute(item: QueueItem, _: int) -> str:
        if monotonic() > until:
            raise ConflictError(text("not begun: the ones before took {seconds} seconds", seconds=int(SECONDS)))
        level = read.read_level(visit, *_customer(item), Freshness.NOW, valuer=visit.valuer)
        moved = ""
        if item.level != level.level:
            moved = text("{before} → {after}", before=item.level or "–", after=level.level or "–")
        if level.is_in_full:
            return moved
        status = level.status if level.problem is None else read.FAILED
        problem = text("it could not be assessed in full: {status}", status=status)
        raise ConflictError(f"{problem}; {moved}" if moved else problem)

    return _each(visit, compute)


def _customer(item: QueueItem) -> tuple[str, str]:
    if item.entity_type is None or item.external_id is None:
        raise ConflictError(text("it is about no customer"))
    return item.entity_type, item.external_id


def _each(visit: Visit, act: Callable[[QueueItem, int], str]) -> Rendered:
    """Do something with each chosen item, and say of each what became of it."""
    chosen = {name.removeprefix("item-"): value for name, value in visit.form.items() if name.startswith("item-")}
    if not chosen:
        raise ConfigError(text("choose at least one"))
    if len(chosen) > MOST_AT_ONCE:
        raise ConfigError(text("{count} are chosen; choose 1 to {most}", count=len(chosen), most=MOST_AT_ONCE))
    done: list[tuple[ItemLine, str]] = []
    refused: list[tuple[ItemLine | None, str]] = []
    for name, revision in chosen.items():
        line = None
        try:
            line = _chosen(visit, name)
            shown_revision = digits(revision, FEW_DIGITS)
            done.append((line, act(line.item, -1 if shown_revision is None else shown_revision)))
        except (ConfigError, ConflictError, InvalidDataError, NotFoundError) as error:
            refused.append((line, str(error)))
    filters = filter_text(dict(parse_qsl(visit.form.get("filter", ""))))
    queue = f"/console/queue?{filters}" if filters else "/console/queue"
    page = ManyPage(done=tuple(done), refused=tuple(refused), queue=queue)
    return Rendered(template="queue/many.html", title=text("What was done"), page=page)


def _chosen(visit: Visit, name: str) -> ItemLine:
    item = read_item(visit, visit.role, name)
    if item is None:
        raise ConflictError(text("item {name} has left the queue", name=name))
    return ItemLine(item=item, address=page_of_item(item))
