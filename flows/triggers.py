"""Triggers: for which events of the platform a flow runs by itself. A call runs it whatever they are."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fivefold.risk.language.base import Identifier, Label, LanguageModel

MOST_TRIGGERS = 20


class Trigger(LanguageModel):
    """What all triggers have: the kind of event."""

    on: str

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Tell whether it listens to an event of its kind of which that is known."""
        del about
        return True


class TransactionTrigger(Trigger):
    """A transaction was stored, other than from a file: each one runs the flow once."""

    on: Literal["transaction"]


class LevelTrigger(Trigger):
    """The level in force became another one.

    Attributes:
        direction: only where it rose, or fell.
        to: only where it came to one of these levels.
    """

    on: Literal["level"]
    direction: Literal["up", "down"] | None = None
    to: tuple[Identifier, ...] = ()

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Tell by the direction and the new level."""
        return self.direction in {None, about["direction"]} and (not self.to or about["to"] in self.to)


class SegmentTrigger(Trigger):
    """The segment of the value became another one; `to` names those that count, all where it is empty."""

    on: Literal["segment"]
    to: tuple[Literal["low", "medium", "high", "top"], ...] = ()

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Tell by the new segment."""
        return not self.to or about["to"] in self.to


class TagTrigger(Trigger):
    """A tag was given."""

    on: Literal["tag"]
    tag: Label

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Tell by the tag."""
        return bool(about["tag"] == self.tag)


class CaseTrigger(Trigger):
    """A case was opened, changed or closed."""

    on: Literal["case"]


class GroupTrigger(Trigger):
    """An entity entered a named group, or left it.

    Attributes:
        group: its name.
        change: only where it entered, or left.
    """

    on: Literal["group"]
    group: Identifier
    change: Literal["entered", "left"] | None = None

    def answers_to(self, about: Mapping[str, Any]) -> bool:
        """Tell by the group, and by which way the entity went."""
        return bool(about["group"] == self.group) and self.change in {None, about["change"]}


class ImportTrigger(Trigger):
    """A file was taken, with something new about the entity: however much that is, the flow runs once for the part."""

    on: Literal["import"]


EVENT_KINDS: dict[str, type[Trigger]] = {
    "transaction": TransactionTrigger,
    "level": LevelTrigger,
    "segment": SegmentTrigger,
    "tag": TagTrigger,
    "case": CaseTrigger,
    "group": GroupTrigger,
    "import": ImportTrigger,
}
"""The events that a flow may listen to, and the form of each trigger."""


def _kind(value: Any) -> str | None:
    on = value.get("on") if isinstance(value, Mapping) else getattr(value, "on", None)
    return on if isinstance(on, str) and on in EVENT_KINDS else None


AnyTrigger = Annotated[
    Annotated[TransactionTrigger, Tag("transaction")]
    | Annotated[LevelTrigger, Tag("level")]
    | Annotated[SegmentTrigger, Tag("segment")]
    | Annotated[TagTrigger, Tag("tag")]
    | Annotated[CaseTrigger, Tag("case")]
    | Annotated[GroupTrigger, Tag("group")]
    | Annotated[ImportTrigger, Tag("import")],
    Discriminator(
        _kind,
        custom_error_type="trigger",
        custom_error_message=f"is no trigger; `on` must be one of {', '.join(EVENT_KINDS)}",
    ),
]
"""Any trigger."""

Triggers = Annotated[tuple[AnyTrigger, ...], Field(max_length=MOST_TRIGGERS)]
