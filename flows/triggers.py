"""Triggers: the events and times at which a flow runs by itself. A call can run any flow, with or without triggers."""

import re
from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from fivefold.domain.schedules import LAST, LocalSchedule, zone_names
from fivefold.domain.text import perhaps
from fivefold.risk.language.base import Identifier, Label, LanguageModel, NameOf
from fivefold.risk.language.quantities import quoted_value

MOST_TRIGGERS = 20


class Trigger(LanguageModel):
    """The part that all triggers have: the kind of event."""

    on: str

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Check whether it listens to an event of its kind, described by *about*."""
        del about
        return True


class TransactionTrigger(Trigger):
    """A transaction was stored, or a pending one settled, other than by a file: each one runs the flow once.

    Attributes:
        change: `settled` if a stored pending transaction got its final state, settled or failed; otherwise a
            transaction was stored, in any state.
    """

    on: Literal["transaction"]
    change: Literal["settled"] | None = None

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare what happened to the transaction."""
        return self.change == about.get("change")


class LevelTrigger(Trigger):
    """The level in force changed.

    Attributes:
        direction: only if it rose, or only if it fell.
        to: only if the new level is one of these.
    """

    on: Literal["level"]
    direction: Literal["up", "down"] | None = None
    to: tuple[Annotated[Identifier, NameOf("levels")], ...] = ()

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare the direction and the new level."""
        return self.direction in {None, about["direction"]} and (not self.to or about["to"] in self.to)


class SegmentTrigger(Trigger):
    """The segment of the value became another one.

    Attributes:
        to: only if the new segment is one of these.
    """

    on: Literal["segment"]
    to: tuple[Literal["low", "medium", "high", "top"], ...] = ()

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare the new segment."""
        return not self.to or about["to"] in self.to


class TagTrigger(Trigger):
    """A tag was given, or ended: taken off, or come to its end by the clock, with no other one of that name.

    Attributes:
        tag: the tag.
        change: whether it was given or ended.
    """

    on: Literal["tag"]
    tag: Label
    change: Literal["given", "ended"] = "given"

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare the tag, and what happened to it."""
        return bool(about["tag"] == self.tag) and about["change"] == self.change


class CaseTrigger(Trigger):
    """A case was opened, changed or closed."""

    on: Literal["case"]


class AlertTrigger(Trigger):
    """An alert was opened, changed or closed."""

    on: Literal["alert"]


class ScreeningTrigger(Trigger):
    """An entity was screened for something; one that is sent again is the same screening.

    Attributes:
        screening: what the entity was screened for.
        found: only if something was found, or only if nothing was.
    """

    on: Literal["screening"]
    screening: Label
    found: bool | None = None

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare what was screened for, and the result."""
        return bool(about["screening"] == self.screening) and self.found in {None, about["found"]}


class FieldTrigger(Trigger):
    """A field of the entity became another value, other than by a file; all that a new entity has did.

    Attributes:
        fields: the fields that count.
    """

    on: Literal["field"]
    fields: Annotated[tuple[Identifier, ...], Field(min_length=1)]

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare the fields that changed."""
        return not set(self.fields).isdisjoint(about["fields"])


class GroupTrigger(Trigger):
    """An entity entered a named group, or left it.

    Attributes:
        group: the name of the group.
        change: only if the entity entered, or only if it left.
    """

    on: Literal["group"]
    group: Annotated[Identifier, NameOf("groups")]
    change: Literal["entered", "left"] | None = None

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Compare the group, and whether the entity entered or left."""
        return bool(about["group"] == self.group) and self.change in {None, about["change"]}


class ImportTrigger(Trigger):
    """A file was taken, with something new about the entity: however much that is, the flow runs once for the part."""

    on: Literal["import"]


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY_DAY, _LAST_DAY = "day", "last"
MOST_TIMES = 24


def _day(value: Any) -> str | int:
    if value in (_EVERY_DAY, _LAST_DAY, *WEEKDAYS):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31:
        return value
    words = f"day, {', '.join(WEEKDAYS)}, a day of the month from 1 to 31, or last"
    raise ValueError(f"is {quoted_value(value)}, which is not a day; there are {words}")


def _time(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return value
    raise ValueError(f'is {quoted_value(value)}, which is not a time of the clock; write one as "09:00", in quotes')


def _zone(value: str) -> str:
    if value not in zone_names():
        near = perhaps(value, zone_names(), most=len(zone_names()))
        raise ValueError(f"is {value}, which is not a time zone of the tz database{near}")
    return value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Day = Annotated[
    str | int,
    PlainValidator(_day),
    WithJsonSchema(
        {"anyOf": [{"enum": [_EVERY_DAY, *WEEKDAYS, _LAST_DAY]}, {"type": "integer", "minimum": 1, "maximum": 31}]}
    ),
]
ClockTime = Annotated[
    str, PlainValidator(_time), WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"})
]
Zone = Annotated[str, AfterValidator(_zone), NameOf("zones")]


class ScheduleTrigger(Trigger):
    """A moment of a schedule came: the flow runs once for each entity.

    Attributes:
        every: the days: `day`; or weekdays; or days of the month, 1 to 31 and `last`. One, or a list. A month without
            such a day is left out.
        at: the times on those days, by the clock of the zone: one, or a list.
        zone: the name of the zone in the tz database, such as Europe/Oslo.
        group: run only the entities that are members of this named group then; by default all entities of the type.
    """

    on: Literal["schedule"]
    every: Annotated[
        tuple[Day, ...], BeforeValidator(_as_list, json_schema_input_type=Day | list[Day]), Field(min_length=1)
    ]
    at: Annotated[
        tuple[ClockTime, ...],
        BeforeValidator(_as_list, json_schema_input_type=ClockTime | list[ClockTime]),
        Field(min_length=1, max_length=MOST_TIMES),
    ]
    zone: Zone
    group: Annotated[Identifier, NameOf("groups")] | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        kinds = {"day" if day == _EVERY_DAY else "weekday" if day in WEEKDAYS else "month" for day in self.every}
        if len(kinds) > 1 or (kinds == {"day"} and len(self.every) > 1):
            raise ValueError("every must be day alone, or weekdays alone, or days of the month alone")
        for word, values in (("every", self.every), ("at", self.at)):
            if len(set(values)) < len(values):
                raise ValueError(f"{word} has something twice")
        return self

    @property
    def schedule(self) -> LocalSchedule:
        """The schedule of its moments."""
        weekdays = {WEEKDAYS.index(day) for day in self.every if isinstance(day, str) and day in WEEKDAYS}
        month_days = {day for day in self.every if isinstance(day, int)} | (
            {LAST} if _LAST_DAY in self.every else set()
        )
        times = tuple(sorted(map(time.fromisoformat, self.at)))
        return LocalSchedule(self.zone, times, frozenset(weekdays), frozenset(month_days))


def group_of(trigger: Trigger) -> str | None:
    """Return the named group that a trigger is about; None if it is about none."""
    return trigger.group if isinstance(trigger, GroupTrigger | ScheduleTrigger) else None


EVENT_KINDS: dict[str, type[Trigger]] = {
    "transaction": TransactionTrigger,
    "level": LevelTrigger,
    "segment": SegmentTrigger,
    "tag": TagTrigger,
    "case": CaseTrigger,
    "alert": AlertTrigger,
    "screening": ScreeningTrigger,
    "field": FieldTrigger,
    "group": GroupTrigger,
    "import": ImportTrigger,
    "schedule": ScheduleTrigger,
}
"""The forms of triggers, by the event or schedule for which a flow may run."""


def _kind(value: Any) -> str | None:
    on = value.get("on") if isinstance(value, Mapping) else getattr(value, "on", None)
    return on if isinstance(on, str) and on in EVENT_KINDS else None


AnyTrigger = Annotated[
    Annotated[TransactionTrigger, Tag("transaction")]
    | Annotated[LevelTrigger, Tag("level")]
    | Annotated[SegmentTrigger, Tag("segment")]
    | Annotated[TagTrigger, Tag("tag")]
    | Annotated[CaseTrigger, Tag("case")]
    | Annotated[AlertTrigger, Tag("alert")]
    | Annotated[ScreeningTrigger, Tag("screening")]
    | Annotated[FieldTrigger, Tag("field")]
    | Annotated[GroupTrigger, Tag("group")]
    | Annotated[ImportTrigger, Tag("import")]
    | Annotated[ScheduleTrigger, Tag("schedule")],
    Discriminator(
        _kind,
        custom_error_type="trigger",
        custom_error_message=f"is not a trigger; `on` must be one of {', '.join(EVENT_KINDS)}",
    ),
]
"""Any trigger."""

Triggers = Annotated[tuple[AnyTrigger, ...], Field(max_length=MOST_TRIGGERS)]
