"""What flows ask outside against what the operator has registered: checked before a version acts, and at a start."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.settings import Settings, read_settings
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow
from fivefold.flows.language import Flow, ModelStep, OutsideStep
from fivefold.risk.compiler.diagnostics import Diagnostic, findings
from fivefold.risk.compiler.value_types import value_type_of_input
from fivefold.store.flows.flows import acting_versions, flow_named
from fivefold.store.flows.versions import flow_version_numbered
from fivefold.store.sql.database import reading
from fivefold.store.tables.accounts import Organisation
from fivefold.usecases.flows.models.permitted import problems_of_permission
from fivefold.usecases.flows.outside import OutsideAccess, outside_of
from fivefold.usecases.flows.sources import source_diagnostics
from fivefold.usecases.shared.context import Context


def outside_diagnostics(organisation: str, analysed: AnalysedFlow) -> list[Diagnostic]:
    """Find what a flow asks outside that its organisation cannot ask under the operator's present settings.

    Models are looked up in the registry: whether the alias exists, and the version that it names fits the step.
    """
    flow = analysed.flow
    if not any(isinstance(step, OutsideStep) for step in flow.steps):
        return []
    try:
        outside = outside_of(read_settings(), organisation)
    except ConfigError:  # it names files of the operator's
        problem = "asks outside, and the operator's settings of what may be asked are wrong"
        return [Diagnostic(("flow",), problem)]
    diagnostics = list(_registered(outside, flow))
    return diagnostics or list(_of_registry(outside, analysed))


def _registered(outside: OutsideAccess, flow: Flow) -> Iterator[Diagnostic]:
    """Find what the operator's settings lack."""
    yield from source_diagnostics(flow, outside.sources, has_agent=outside.agent is not None)
    for position, step in enumerate(flow.steps):
        if isinstance(step, ModelStep):
            for problem in problems_of_permission(step.model, outside.models.allowed):
                yield Diagnostic(("steps", position, "model"), problem)


def _of_registry(outside: OutsideAccess, analysed: AnalysedFlow) -> Iterator[Diagnostic]:
    """Find models that are not in the registry, or do not fit their steps."""
    for position, step in enumerate(analysed.flow.steps):
        if not isinstance(step, ModelStep) or analysed.errors:
            continue
        from fivefold.usecases.flows.models.ask import registry_problems  # noqa: PLC0415 (imports MLflow)

        kinds = {name: value_type_of_input(fact, analysed.names) for name, fact in step.model.send.items()}
        for problem in registry_problems(step, kinds, outside.models):
            yield Diagnostic(("steps", position, "model"), problem)


def refuse_unanswered(context: Context, flow: str, version: int) -> None:
    """Raise ConflictError if a version asks outside what cannot be asked now.

    Call it outside a transaction that writes, as others would wait. NotFoundError if there is no such flow or version.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        canonical = flow_version_numbered(session, row, version).canonical
        organisation = session.get_one(Organisation, context.organisation_id).name
    asking = analyse_canonical_flow(canonical)
    for finding in findings(outside_diagnostics(organisation, asking), asking.flow):
        called = f"version {version} of the flow {flow}"
        raise ConflictError(f"{called} cannot run now: {finding.where}: {finding.problem}")


def refuse_unregistered(engine: Engine, settings: Settings) -> None:
    """Raise ConfigError if a flow that acts asks outside what the operator's settings lack.

    So a source cannot be removed as long as it is asked: a start with such a file reports which flows ask for it.
    """
    with reading(engine) as session:
        acting = acting_versions(session)
    access_by_organisation: Mapping[str, OutsideAccess] = {
        name: outside_of(settings, name) for name in {each.organisation for each in acting}
    }
    wrong = []
    for each in acting:
        flow = analyse_canonical_flow(each.canonical).flow
        for finding in findings(_registered(access_by_organisation[each.organisation], flow), flow):
            called = f"the flow {each.flow} of {each.organisation}, version {each.version}, which is active"
            wrong.append(f"{called}: {finding.where}: {finding.problem}")
    if wrong:
        right = "register it, or switch the flow off"
        raise ConfigError(f"what flows ask outside is not registered; {right}: {'; '.join(wrong)}")
