"""Promotions in the registry of models that the audit log lacks."""

from time import sleep

from sqlalchemy import Engine

from fivefold.domain.clock import second_text
from fivefold.domain.settings import Settings
from fivefold.store.audit.chain_reading import names, snapshot
from fivefold.store.sql.database import reading
from fivefold.usecases.audit.verify import AuditFinding

_SETTLES_SECONDS = 3.0
"""A promotion that is under way has its entry so soon after its model serves."""


def unlogged_promotions(engine: Engine, settings: Settings) -> list[AuditFinding]:
    """List the promotions in the registry that an organisation's log lacks; none without a registry.

    Of the model that serves here and of those that the log names: a registry may have the models of others too.
    RegistryError where the registry cannot be asked, ConfigError where its lock cannot be taken.
    """
    if not settings.has_registry:
        return []
    findings = _missing(engine, settings)
    if findings:
        sleep(_SETTLES_SECONDS)
        findings = _missing(engine, settings)
    return findings


def _missing(engine: Engine, settings: Settings) -> list[AuditFinding]:
    from fivefold.models.registry import Registry  # noqa: PLC0415 (MLflow takes seconds to import)
    from fivefold.usecases.models.promotion_log import logged_names, missing_promotions  # noqa: PLC0415 (as above)

    findings = list[AuditFinding]()
    with snapshot(engine) as connection:
        organisation_names = names(connection)
    with reading(engine) as session:
        for model in sorted({settings.model_name, *logged_names(session)}):
            adds = (
                "a worker that starts, or the next promotion," if model == settings.model_name else "its next promotion"
            )
            for promotion, organisations in missing_promotions(session, Registry(settings, model)):
                problem = (
                    f"version {promotion.version} of {model} became champion at {second_text(promotion.at_us)}, as"
                    f" the registry of models says, and no entry says so; {adds} adds it"
                )
                findings += [AuditFinding(number, organisation_names[number], 0, problem) for number in organisations]
    return findings
