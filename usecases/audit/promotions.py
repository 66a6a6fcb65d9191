"""Promotions in the registry of models that the audit log lacks."""

from sqlalchemy import Engine

from fivefold.domain.clock import second_text
from fivefold.domain.settings import Settings
from fivefold.store.audit.chain_reading import names, snapshot
from fivefold.store.sql.database import reading
from fivefold.usecases.audit.verify import AuditFinding

_MOST_MODELS = 1_000
"""So many models of a registry are looked at: MLflow gives no more at once."""


def unlogged_promotions(engine: Engine, settings: Settings) -> list[AuditFinding]:
    """List the promotions of every model in the registry that an organisation's log lacks; none without a registry.

    RegistryError where the registry cannot be asked.
    """
    if not settings.has_registry:
        return []
    from fivefold.models.registry import Registry  # noqa: PLC0415 (MLflow takes seconds to import)
    from fivefold.usecases.models.promotion_log import missing_promotions  # noqa: PLC0415 (as above)

    findings = list[AuditFinding]()
    models = Registry(settings, settings.model_name).client.search_registered_models(max_results=_MOST_MODELS)
    with snapshot(engine) as connection:
        organisation_names = names(connection)
    with reading(engine) as session:
        for model in models:
            for promotion, organisations in missing_promotions(session, Registry(settings, model.name)):
                problem = (
                    f"version {promotion.version} of {model.name} became champion at {second_text(promotion.at_us)}, as"
                    " the registry of models says, and no entry says so; the worker or the next promotion adds it"
                )
                findings += [AuditFinding(number, organisation_names[number], 0, problem) for number in organisations]
    return findings
