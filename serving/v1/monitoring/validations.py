"""Whether levels are still worth something: validations, what asks for the next one, and material changes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fivefold.domain.paging import Key, Page, page_among
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import LARGEST, Given, Moment, MomentGiven, Number, Shown, Text
from fivefold.usecases.monitoring import revalidation
from fivefold.usecases.monitoring import validate as validation
from fivefold.usecases.monitoring.history import CONFIRMED
from fivefold.usecases.monitoring.revalidation import REACHED
from fivefold.usecases.monitoring.validate import Validated


class ValidationGiven(Given):
    """Which time is looked at (its end is not in it), why, and which outcomes of cases and alerts mean confirmed."""

    begins: MomentGiven
    ends: MomentGiven
    reason: Text = "requested"
    confirmed: list[Text] = Field(default=[CONFIRMED])


class ValidationLine(Shown):
    """A validation, and the triggers of a revalidation that it found reached."""

    id: int
    reason: str
    begins: Moment
    ends: Moment
    made_at: Moment
    reached: list[str]


class Validation(ValidationLine):
    """A validation with all that it found; docs/validation-over-time.md says what is what."""

    report: dict[str, Any]


class Trigger(Shown):
    """What asks for a revalidation: the figure, the limit, where that comes from, and whether it is reached.

    `about` is overall, or a ruleset and its version; `sure`: the whole interval says the same.
    """

    name: str
    about: str
    figure: float | None
    limit: float
    rule: str
    source: str
    answer: str
    sure: bool


class ChangeGiven(Given):
    """What changes: product, channel, country or regulator."""

    kind: Literal["product", "channel", "country", "regulator"]
    description: Text


class SignOffGiven(Given):
    """The number of a validation that was made after the change, and what follows from it."""

    validation: Annotated[int, Field(ge=1, le=LARGEST)]
    conclusion: Text


class Change(Shown):
    """A material change; open until somebody else signed it off."""

    id: int
    kind: str
    description: str
    registered_by: str
    registered_at: Moment = Field(validation_alias="registered_us")
    validation: int | None
    signed_by: str | None
    signed_at: Moment | None = Field(validation_alias="signed_us")
    conclusion: str | None


def list_validations(asked: Asked, query: PageAsked) -> Page[ValidationLine]:
    """List validations, the newest first."""
    found = validation.list_validations(asked.engine, asked.actor, query.part)
    return found.map(lambda made: ValidationLine(**_said(made)))


def validate_levels(asked: Asked, body: ValidationGiven) -> Validation:
    """Measure what the levels of a time were worth, and keep what was found."""
    made = validation.validate_levels(
        asked.engine, asked.actor, body.begins, body.ends, body.reason, tuple(body.confirmed)
    )
    return _shown(made)


def read_validation(asked: Asked, validation_: Number) -> Validation:
    """Show a validation with all that it found."""
    return _shown(validation.read_validation(asked.engine, asked.actor, validation_))


def read_revalidation(asked: Asked, query: PageAsked) -> Page[Trigger]:
    """Tell what asks for a revalidation now, and what does not; by what it is about."""
    found = sorted(validation.revalidation(asked.engine, asked.actor), key=_place)
    return page_among(found, _place, query.part).map(Trigger.of)


def _place(trigger: revalidation.Trigger) -> Key:
    return trigger.about, trigger.name


def list_changes(asked: Asked, query: PageAsked) -> Page[Change]:
    """List material changes, the newest first."""
    return revalidation.list_changes(asked.engine, asked.actor, query.part).map(Change.of)


def register_change(asked: Asked, body: ChangeGiven) -> Change:
    """Register a material change: a revalidation is asked for until somebody else signs it off."""
    return Change.of(revalidation.register_change(asked.engine, asked.actor, body.kind, body.description))


def sign_off(asked: Asked, change: Number, body: SignOffGiven) -> Change:
    """Close a material change that somebody else registered, with a validation that was made after it."""
    return Change.of(revalidation.sign_off(asked.engine, asked.actor, change, body.validation, body.conclusion))


def _shown(made: Validated) -> Validation:
    return Validation(**_said(made), report=dict(made.report))


def _said(made: Validated) -> dict[str, Any]:
    reached = sorted({each["name"] for each in made.report["triggers"] if each["answer"] == REACHED})
    return {
        "id": made.id,
        "reason": made.reason,
        "begins": made.from_us,
        "ends": made.until_us,
        "made_at": made.made_us,
        "reached": reached,
    }
