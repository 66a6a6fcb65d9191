"""The register of material changes: each asks for a revalidation, and stays open until somebody else signs it off."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text, now_microseconds
from fivefold.domain.errors import ActionRefused, ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.monitoring.revalidation import change_numbered, changes_of, run_numbered
from fivefold.store.sql.database import reachable, writing
from fivefold.store.tables.events import MaterialChange
from fivefold.usecases.accounts.second_person import refuse_same_person
from fivefold.usecases.audit import record as audit
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.entity_checks import storable
from fivefold.usecases.shared.reasons import MOST_CHARACTERS

KINDS: Final = ("product", "channel", "country", "regulator")


@dataclass(frozen=True)
class ChangeLine:
    """A material change.

    Attributes:
        validation: the number of the validation that it was signed off with; None while it is open, as the next ones.
        conclusion: what follows for the rulesets.
    """

    id: int
    kind: str
    description: str
    registered_by: str
    registered_us: int
    validation: int | None
    signed_by: str | None
    signed_us: int | None
    conclusion: str | None

    @property
    def is_open(self) -> bool:
        """Tell whether nobody signed it off yet."""
        return self.signed_us is None


def register_change(engine: Engine, actor: Actor, kind: str, description: str, now_us: int | None = None) -> ChangeLine:
    """Register a change of product, channel, country or regulation; from now on a revalidation is asked for.

    ConfigError where it is of no such kind, or nothing is said of it.
    """
    now = now_microseconds() if now_us is None else now_us
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; it must be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    made = MaterialChange(
        organisation_id=actor.organisation_id,
        kind=kind,
        description=_checked(description, "description must say what changes"),
        registered_by=actor.name,
        registered_us=now,
    )
    with writing(engine) as session:
        session.add(made)
        session.flush()
        line = _line(made)
        _record(session, actor, "material_change.registered", made, {"description": made.description})
        return line


def _checked(text: str, must: str) -> str:
    said = text.strip() if isinstance(text, str) else ""
    if not 1 <= len(said) <= MOST_CHARACTERS or not storable(said):
        raise ConfigError(f"{must}, in 1 to {MOST_CHARACTERS} characters")
    return said


def sign_off(
    engine: Engine, actor: Actor, change: int, validation: int, conclusion: str, now_us: int | None = None
) -> ChangeLine:
    """Close a change with a validation that was made after it, and with what follows from that.

    Raises:
        NotThere: there is no such change or validation.
        ConfigError: nothing is concluded.
        ActionRefused: the actor registered the change; it is signed off already; or the validation is older.
    """
    now = now_microseconds() if now_us is None else now_us
    why = _checked(conclusion, "conclusion must say what follows")
    with writing(engine) as session:
        found = change_numbered(session, actor.organisation_id, change)
        run = run_numbered(session, actor.organisation_id, validation)
        if found.signed_us is not None:
            raise ActionRefused(f"material change {change} was signed off already, by {found.signed_by}")
        what = f"registered material change {change}: somebody else signs it off"
        refuse_same_person(session, actor, (found.registered_by,), what)
        if run.made_us <= found.registered_us:
            raise ActionRefused(
                f"validation {validation} is of {day_text(run.made_us)}, before the change was registered"
                f" on {day_text(found.registered_us)}; make another one"
            )
        found.validation_id, found.conclusion = validation, why
        found.signed_by, found.signed_us = actor.name, now
        line = _line(found)
        _record(session, actor, "material_change.signed_off", found, {"conclusion": why})
        return line


def _record(session: Session, actor: Actor, action: str, change: MaterialChange, after: dict[str, str]) -> None:
    audit.record(
        session,
        actor.organisation_id,
        action,
        ("material change", change.id),
        actor=actor.name,
        after=after,
        details={"kind": change.kind, "validation_id": change.validation_id},
    )


def list_changes(engine: Engine, actor: Actor, part: Part = WHOLE) -> Page[ChangeLine]:
    """List the material changes, the newest first."""
    with reachable(), Session(engine) as session:
        return changes_of(session, actor.organisation_id, part).map(_line)


def _line(row: MaterialChange) -> ChangeLine:
    return ChangeLine(
        row.id,
        row.kind,
        row.description,
        row.registered_by,
        row.registered_us,
        row.validation_id,
        row.signed_by,
        row.signed_us,
        row.conclusion,
    )
