"""Audit entries of promotions, also of promotions in MLflow whose process ended before it wrote the entry."""

import json
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ModelNotFoundError, NotFoundError
from fivefold.models.promotions import Promotion, promotion_history, recorded_moments
from fivefold.models.registry import Registry
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.accounts.tokens import DEFAULT_ORGANISATION, every_organisation, organisation_named
from fivefold.store.audit.log import entries_with_values
from fivefold.store.audit.promotions import (
    ACKNOWLEDGED,
    PROMOTED,
    LoggedPromotion,
    acknowledged_losses,
    logged_promotions,
)
from fivefold.store.levels.champions import begin_champion
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.levels import Champion
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, record
from fivefold.usecases.shared.inputs import checked_reason


def content_hash_of(registry: Registry, number: int) -> str:
    """Return the content hash of a version; empty if it was registered without one, or is gone."""
    return _registered_hash(registry, number) or ""


def log_promotion(
    session: Session, registry: Registry, promotion: Promotion, at_machine: str, person: Actor | None
) -> None:
    """Record a promotion in the log of every organisation; by *person* in the log of their own organisation.

    From then on each value of another version is superseded by this one; workers that loaded it mark the entities due.
    """
    details = _details(registry, promotion)
    begin_champion(session, registry.name, promotion.version, _now_us(session), details["content_hash"] or None)
    for organisation_id in every_organisation(session) or [_add_organisation(session)]:
        own = person is not None and person.organisation_id == organisation_id
        who = person if person is not None and own else Actor(organisation_id, at_machine)
        subject = ("model", promotion.version)
        record(session, who, PROMOTED[promotion.action], subject, after={"reason": promotion.why}, details=details)


def _add_organisation(session: Session) -> int:
    return organisation_named(session, DEFAULT_ORGANISATION, _now_us(session)).id


def _now_us(session: Session) -> int:
    return clock_of(session.get_bind().engine).now_us()


def _details(registry: Registry, promotion: Promotion) -> dict[str, Any]:
    """Return a promotion's details for the audit log; the moment identifies the run of MLflow that recorded it."""
    return {
        "model": registry.name,
        "version": promotion.version,
        "replaced": promotion.replaced,
        "forced": promotion.forced,
        "content_hash": content_hash_of(registry, promotion.version),
        "at_us": promotion.at_us,
    }


def record_missing(engine: Engine, registry: Registry, actor: str, *, adds_organisation: bool = False) -> None:
    """Record promotions that MLflow has and the audit log lacks: their process ended after it had moved the alias.

    Args:
        engine: the database with the audit log.
        registry: the registry of the promotions.
        actor: who adds the entries; who promoted is in their values.
        adds_organisation: whether to add an organisation for the entry of the newest promotion, if there is none yet.
    """
    with reading(engine) as session:
        if not any(adds_organisation or organisations for _, organisations in missing_promotions(session, registry)):
            return
    with writing(engine) as session:
        log_missing(session, registry, actor)


def log_missing(session: Session, registry: Registry, actor: str) -> None:
    """Record promotions that MLflow has and the log lacks, in the caller's transaction."""
    if not missing_promotions(session, registry):
        return
    session.scalars(select(Champion).with_for_update()).all()  # waits for the process that may be about to commit this
    for promotion, organisations in missing_promotions(session, registry):
        details = {**_details(registry, promotion), "added_later": True}
        after = {"reason": promotion.why, "who": promotion.who}
        for organisation_id in organisations or [_add_organisation(session)]:
            who, subject = Actor(organisation_id, actor), ("model", promotion.version)
            record(session, who, PROMOTED[promotion.action], subject, after=after, details=details)


def missing_promotions(session: Session, registry: Registry) -> list[tuple[Promotion, list[int]]]:
    """List the promotions since the last logged one, oldest first, with the organisations that lack each.

    An organisation that was added later lacks none. If there is none yet, only the newest promotion is listed.
    """
    missing = list[tuple[Promotion, list[int]]]()
    added = {each.id: each.created_us for each in session.scalars(select(Organisation))}
    for promotion in reversed(promotion_history(registry)):
        lacking = [
            number
            for number, created_us in sorted(added.items())
            if created_us <= promotion.at_us and not _is_logged(session, number, registry, promotion)
        ]
        if added and not lacking:
            break
        missing.insert(0, (promotion, lacking))
        if not added:
            break
    return missing


def _is_logged(session: Session, organisation_id: int, registry: Registry, promotion: Promotion) -> bool:
    """Check whether an organisation's log has a promotion; entries of earlier releases lack its moment."""
    subjects, wanted = [str(promotion.version)], (registry.name, promotion.replaced)
    for entry, _ in entries_with_values(session, organisation_id, "model", subjects, [PROMOTED[promotion.action]]):
        details = json.loads(entry.details)
        if (details["model"], details["replaced"]) == wanted and (
            details["at_us"] == promotion.at_us if "at_us" in details else promotion.at_us <= entry.at_us
        ):
            return True
    return False


def lost_promotions(session: Session, registry: Registry) -> list[LoggedPromotion]:
    """List promotions of a model that organisations' logs have and the registry lacks, by log, oldest first.

    The registry was restored from an earlier backup, or was made anew. Entries of earlier releases are left out, as
    they lack the moment; so are promotions whose loss was acknowledged.
    """
    _, lost = _logged_by_registry(session, registry)
    acknowledged = acknowledged_losses(session) if lost else set[tuple[int, int]]()
    return [each for each in lost if (each.organisation_id, each.entry) not in acknowledged]


def changed_promotions(session: Session, registry: Registry) -> list[LoggedPromotion]:
    """List promotions of a model whose version now has another content hash than in the log, by log.

    A version is loaded if its files have the hash in the registry, so a change of both is only found here. Promotions
    that the registry lacks are left out, and so are versions that are gone, which no longer serve.
    """
    recorded, _ = _logged_by_registry(session, registry)
    hashed = [each for each in recorded if each.details.get("content_hash")]
    hashes = {number: _registered_hash(registry, number) for number in sorted({each.version for each in hashed})}
    return [each for each in hashed if hashes[each.version] not in {None, each.details["content_hash"]}]


def _logged_by_registry(session: Session, registry: Registry) -> tuple[list[LoggedPromotion], list[LoggedPromotion]]:
    """Return the logged promotions of a model that have a moment: those that the registry has, and the others."""
    logged = [each for each in logged_promotions(session) if each.model == registry.name and each.at_us is not None]
    moments = recorded_moments(registry) if logged else frozenset[int]()
    return [each for each in logged if each.at_us in moments], [each for each in logged if each.at_us not in moments]


def _registered_hash(registry: Registry, number: int) -> str | None:
    """Return the content hash of a version, empty if it has none; None if the version is gone."""
    try:
        return registry.version(number).tags.get("content_hash", "")
    except ModelNotFoundError:
        return None


def acknowledge_loss(context: Context, registry: Registry, entry: int, reason: str) -> LoggedPromotion:
    """Record that the registry lacks the promotion of an entry, with the reason, which ends the finding.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: the registry does not lack such a promotion, or its loss was acknowledged.
    """
    why = checked_reason(reason)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        lost = lost_promotions(session, registry)
        own = {each.entry: each for each in lost if each.organisation_id == context.organisation_id}
        if entry not in own:
            raise NotFoundError(
                f"entry {entry} is not a promotion that {registry.settings.registry_shown} lacks and that was not"
                f" acknowledged; such entries of this organisation: {', '.join(map(str, own)) or 'none'}"
            )
        promotion = own[entry]
        details = {"model": promotion.model, "version": promotion.version, "entry": entry, "at_us": promotion.at_us}
        context.record(session, ACKNOWLEDGED, ("model", promotion.version), after={"reason": why}, details=details)
    return promotion
