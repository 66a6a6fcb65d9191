"""Validations of levels, triggers of the next one, and material changes; what waits, and who works on it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fivefold.domain.paging import Key, Page, page_among
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, MomentGiven, Number, Reason, RequestModel, ResponseModel, Text
from fivefold.usecases.ingest import import_progress
from fivefold.usecases.ingest.import_progress import ImportLine
from fivefold.usecases.monitoring import operations, peers, revalidation
from fivefold.usecases.monitoring import validate as validation
from fivefold.usecases.monitoring.history import CONFIRMED
from fivefold.usecases.monitoring.operations import OperationsFigures
from fivefold.usecases.monitoring.peers import AttachedPeer
from fivefold.usecases.monitoring.people import WorkFigures, read_work_figures
from fivefold.usecases.monitoring.revalidation import REACHED, ChangeLine, RevalidationTrigger
from fivefold.usecases.monitoring.series import ValidationPoint, sign_off_validation, validation_series
from fivefold.usecases.monitoring.validate import Validated
from fivefold.usecases.shared.api_fields import Moment


class ValidationGiven(RequestModel):
    """Which time is looked at (its end is not in it), why, and which outcomes of cases and alerts mean confirmed."""

    begins: MomentGiven
    ends: MomentGiven
    reason: Text = "requested"
    confirmed: list[Text] = Field(default=[CONFIRMED])


class ValidationLine(ResponseModel):
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


class ChangeGiven(RequestModel):
    """What changes: product, channel, country or regulator."""

    kind: Literal["product", "channel", "country", "regulator"]
    description: Reason


class SignOffGiven(RequestModel):
    """The number of a validation that was made after the change, and what follows from it."""

    validation: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]
    conclusion: Reason


class ConclusionGiven(RequestModel):
    """What follows from a validation."""

    conclusion: Reason


class PeerGiven(RequestModel):
    """A file with a peer's figures: its name, and its text, as `fivefold rules validate --json` writes it or a few."""

    file: Text
    content: Text


class WorkTime(RequestModel):
    """A time, from `begins` until before `ends`."""

    begins: MomentGiven
    ends: MomentGiven


def read_work(context: RequestContext, query: WorkTime) -> WorkFigures:
    """Measure how long people took to decide in a time, and how much came back to them."""
    return read_work_figures(context, query.begins, query.ends)


def list_validations(context: RequestContext, query: PageQuery) -> Page[ValidationLine]:
    """List validations, the newest first."""
    page = validation.list_validations(context, query.part)
    return page.map(lambda line: ValidationLine(**_fields(line)))


def validate_levels(context: RequestContext, body: ValidationGiven) -> Validation:
    """Measure what the levels of a time were worth, and keep what was found."""
    result = validation.validate_levels(context, body.begins, body.ends, body.reason, tuple(body.confirmed))
    return _with_report(result)


def read_validation(context: RequestContext, validation_: Number) -> Validation:
    """Show a validation with all that it found."""
    return _with_report(validation.read_validation(context, validation_))


def list_peers(context: RequestContext, validation_: Number) -> list[AttachedPeer]:
    """List the peers whose figures stand beside a validation; the first attached comes first."""
    return peers.list_peers(context, validation_)


def attach_peer(context: RequestContext, validation_: Number, body: PeerGiven) -> AttachedPeer:
    """Put a peer's figures beside a validation that is not signed off; the same file is kept once."""
    return peers.attach_peer(context, validation_, body.file, body.content)[0]


def list_series(context: RequestContext, query: PageQuery) -> Page[ValidationPoint]:
    """List the figures of validations, from the time that ended last to the earliest.

    They are those of all rulesets together, as each validation stored them.
    """
    return validation_series(context, query.part)


def sign_validation(context: RequestContext, validation_: Number, body: ConclusionGiven) -> ValidationPoint:
    """Sign a validation off: by a person who wrote none of the rulesets that it looks at."""
    return sign_off_validation(context, validation_, body.conclusion)


def read_revalidation(context: RequestContext, query: PageQuery) -> Page[RevalidationTrigger]:
    """List the triggers of a revalidation, reached or not, by subject."""
    triggers = sorted(validation.revalidation(context), key=_place)
    return page_among(triggers, _place, query.part)


def _place(trigger: RevalidationTrigger) -> Key:
    return trigger.about, trigger.name


def list_changes(context: RequestContext, query: PageQuery) -> Page[ChangeLine]:
    """List material changes, the newest first."""
    return revalidation.list_changes(context, query.part)


def register_change(context: RequestContext, body: ChangeGiven) -> ChangeLine:
    """Register a material change: a revalidation is due until another person signs it off."""
    return revalidation.register_change(context, body.kind, body.description)


def sign_off(context: RequestContext, change: Number, body: SignOffGiven) -> ChangeLine:
    """Close a material change that another person registered, with a validation made after it."""
    return revalidation.sign_off(context, change, body.validation, body.conclusion)


def _with_report(result: Validated) -> Validation:
    return Validation(**_fields(result), report=dict(result.report))


def _fields(result: Validated) -> dict[str, Any]:
    reached = sorted({each["name"] for each in result.report["triggers"] if each["answer"] == REACHED})
    return {
        "id": result.id,
        "reason": result.reason,
        "begins": result.from_us,
        "ends": result.until_us,
        "made_at": result.made_us,
        "reached": reached,
    }


def read_operations(context: RequestContext) -> OperationsFigures:
    """Show what waits, the workers, and when the audit log was proven last; each figure as of a moment."""
    return operations.read_figures(context)


def list_imports(context: RequestContext, query: PageQuery) -> Page[ImportLine]:
    """List the imports of files, the newest first, and how far they are."""
    return import_progress.list_imports(context, query.part)
