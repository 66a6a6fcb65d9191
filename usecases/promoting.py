"""Which value model serves: every change of it goes to MLflow's record and to the audit log, or to neither."""

from sqlalchemy import Engine

from domain.clock import now_microseconds
from models.promotions import Promotion, carry_out, planned_promotion, planned_rollback
from models.registry import Registry
from store import accounts
from store.database import writing
from usecases import audit
from usecases.organisations import DEFAULT_ORGANISATION


def promote_model(
    engine: Engine, registry: Registry, number: int, actor: str, *, force: bool = False, reason: str = ""
) -> Promotion:
    """Make a version champion, and record it in the audit log of every organisation: the model values all of them.

    Args:
        engine: the database with the audit log.
        registry: where the version is.
        number: of the version.
        actor: who does it, as the audit log names them.
        force: against the gate, or where it could not compare.
        reason: why; needed with *force*.

    Raises:
        PromotionRefused: the gate did not allow it, or the version does not load.
        StoreError: the audit log cannot be written; then nothing is promoted.
    """
    return _recorded(engine, registry, planned_promotion(registry, number, force=force, reason=reason), actor)


def roll_back_model(engine: Engine, registry: Registry, actor: str, reason: str = "") -> Promotion:
    """Make the champion before the present one champion again, and record it as `promote_model` does."""
    return _recorded(engine, registry, planned_rollback(registry, reason), actor)


def _recorded(engine: Engine, registry: Registry, planned: Promotion, actor: str) -> Promotion:
    """Record first, then move the alias, then commit: where the alias does not move, nothing was recorded."""
    details = {
        "model": registry.name,
        "version": planned.version,
        "replaced": planned.replaced,
        "forced": planned.forced,
        "content_hash": registry.version(planned.version).tags.get("content_hash", ""),
    }
    with writing(engine) as session:
        organisations = accounts.every_organisation(session)
        if not organisations:
            organisations = [accounts.organisation_named(session, DEFAULT_ORGANISATION, now_microseconds()).id]
        for organisation_id in organisations:
            audit.record(
                session, organisation_id, f"model.{_DONE[planned.action]}", ("model", planned.version), actor=actor,
                after={"reason": planned.why}, details=details,
            )  # fmt: skip
        return carry_out(registry, planned)


_DONE = {"promote": "promoted", "rollback": "rolled_back"}
