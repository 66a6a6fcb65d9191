"""One entity run through a draft or a version as of now, with each step's why: no action is taken, nothing is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.errors import ConflictError, Finding, InvalidRulesetError, NotFoundError
from fivefold.features.reading.columns import short_text
from fivefold.flows.analysis import AnalysedFlow, analyse_flow
from fivefold.flows.examples import outcome_given, strange_answers, strange_outcomes
from fivefold.flows.language import GivenOutcome
from fivefold.flows.outside.outcomes import fitted
from fivefold.flows.outside.step import CompiledOutsideStep
from fivefold.flows.program import FlowProgram, flow_program_for
from fivefold.flows.steps import RowContext
from fivefold.flows.trace import explain_run
from fivefold.risk.language.documents import Document
from fivefold.store.flows.flows import flow_named
from fivefold.store.flows.history import RecordedAnswer, answers_of
from fivefold.store.flows.versions import flow_version_numbered
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels.bulk_reads import transactions_numbered
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.usecases.accounts.flows_in_force import flow_of_version
from fivefold.usecases.flows.read import text_or_draft, type_of_flow
from fivefold.usecases.flows.replays.then import answers_kept
from fivefold.usecases.flows.review import findings_in_organisation, flow_context
from fivefold.usecases.flows.runs.facts import read_facts
from fivefold.usecases.flows.runs.reading import names_linked
from fivefold.usecases.levels.explain import renamed
from fivefold.usecases.rulesets.life_cycle import SOURCE
from fivefold.usecases.shared.api_fields import Moment, StoredObject, shown_as
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class Supposed:
    """What is taken for answered in a try. It counts before what is kept of a run before, and is kept nowhere.

    Attributes:
        answers: of persons, by the step; `nobody` for no answer in time.
        outcomes: what came back from outside, by the step: values by name, or `failed`.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, GivenOutcome] = field(default_factory=dict)


NOTHING_SUPPOSED = Supposed()
_SOURCE = "the request"


@dataclass(frozen=True, kw_only=True)
class FlowTried:
    """Where one entity would come to, and why; nobody and nothing was asked, and nothing is done or stored.

    Attributes:
        version: its number; None for a text or a draft.
        transaction: the number of the stored one that was looked at; None for none.
        as_of_us: the moment of the facts.
        why: as the record of a run has it: where it stops, its steps and the actions that would follow.
        answered: the steps at which it went on by an answer that is kept of a run before.
        supposed: the steps at which it went on by what the request supposes.
        not_asked: the step at which a person or another system would be asked; None where none would.
    """

    flow: str
    version: int | None
    entity_type: str
    external_id: str
    transaction: str | None
    as_of_us: Annotated[Moment, shown_as("as_of")]
    why: StoredObject
    answered: tuple[str, ...]
    supposed: tuple[str, ...]
    not_asked: str | None


def try_flow_version(
    context: Context,
    flow: str,
    version: int,
    external_id: str,
    transaction: str | None = None,
    supposed: Supposed = NOTHING_SUPPOSED,
) -> FlowTried:
    """Run an entity through a committed version.

    Args:
        context: who asks.
        flow: its name.
        version: its number.
        external_id: the identifier of the entity.
        transaction: the number of a stored transaction to look at; None for none.
        supposed: the answers and outcomes to suppose.

    Raises:
        NotFoundError: there is no such flow, version or entity, or it has no such transaction.
        ConflictError: the version could not run with what it asks now.
        InvalidRulesetError: a supposed answer or outcome is not one that the version takes.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        standing = flow_of_version(session, flow_version_numbered(session, row, version).id)
        kind = session.get_one(EntityType, row.type_id)
        through = _Tried(standing.analysed, kind, row.id, version, supposed)
        return _tried(session, context, through, external_id, transaction)


def try_flow_draft(
    context: Context,
    flow: str,
    external_id: str,
    transaction: str | None = None,
    supposed: Supposed = NOTHING_SUPPOSED,
    document: str | None = None,
) -> FlowTried:
    """Run an entity through the saved draft of a flow, or through an unsaved text of it.

    Raises:
        NotFoundError: there is no such flow, draft or entity, or it has no such transaction.
        InvalidRulesetError: the text cannot be read or is of another flow, or does not take what is supposed.
        ConflictError: it has other faults, or could not run with what it asks now.
    """
    document = text_or_draft(context, flow, document)
    # Its examples may be wrong: they are not run here.
    written = analyse_flow(document).flow.model_copy(update={"examples": ()})
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        kind = type_of_flow(session, row, written.entity_type)
        fits = flow_context(session, kind)
        analysed = fits.analysed(written)
        for finding in findings_in_organisation(analysed, fits, Document(document, SOURCE)):
            if finding.fatal:
                raise ConflictError(f"flow {flow} cannot run now: {finding.where}: {finding.problem}")
        return _tried(session, context, _Tried(analysed, kind, row.id, None, supposed), external_id, transaction)


@dataclass(frozen=True)
class _Tried:
    """What an entity is run through."""

    analysed: AnalysedFlow
    kind: EntityType
    flow_id: int
    version: int | None
    supposed: Supposed


def _tried(session: Session, context: Context, through: _Tried, external_id: str, transaction: str | None) -> FlowTried:
    now, analysed = context.now(), through.analysed
    for finding in analysed.errors:
        raise ConflictError(f"flow {analysed.flow.name} cannot run now: {finding.where}: {finding.problem}")
    _refuse_strange(through.supposed, analysed)
    entity = entity_named(session, context.organisation_id, through.kind.name, external_id)
    if entity.erased_us is not None:
        raise NotFoundError(f"{external_id} was erased")
    looked_at = {entity.id: transaction}
    if transaction is not None:
        _require_transaction(session, context, entity, transaction)
    read = read_facts(session, context.organisation_id, through.kind.id, analysed, looked_at, now)
    program = flow_program_for(analysed, read.facts.versions, read.base)
    supposed = list(_supposed(through.supposed, program, entity.id, now))
    stored_answers = answers_of(session, through.flow_id, [entity.id], now)
    answers = answers_kept([*stored_answers, *supposed], by_cause=False)
    run_context, there = answers.run_context(program, read, {entity.id: (entity.id, "")})
    row = program.run(read.facts.own, run_context).row(0, named=True)
    inputs = {key: frame.row(0, named=True) for key, frame in read.facts.dependency_inputs.items()}
    why = explain_run(program, row, RowContext(inputs, {}))
    passed, supposed_steps = {step.step for step in why.steps}, {each.step for each in supposed}
    return FlowTried(
        flow=analysed.flow.name,
        version=through.version,
        entity_type=through.kind.name,
        external_id=entity.external_id,
        transaction=transaction,
        as_of_us=now,
        why=renamed(why.as_json(), names_linked(session, analysed, read.facts.own.row(0, named=True), inputs)),
        answered=tuple(sorted((set(there) - supposed_steps) & passed)),
        supposed=tuple(sorted(supposed_steps & passed)),
        not_asked=why.at if why.status in {"waits", "asks"} else None,
    )


def _require_transaction(session: Session, context: Context, entity: Entity, number: str) -> None:
    """Raise NotFoundError if the entity has no such transaction, of which a run would know nothing."""
    if entity.id not in transactions_numbered(session, context.organisation_id, [number])["entity"]:
        raise NotFoundError(f"{entity.external_id} has no transaction {short_text(number)}")


def _refuse_strange(supposed: Supposed, analysed: AnalysedFlow) -> None:
    findings = [
        *strange_answers("answers", supposed.answers, analysed.declared),
        *strange_outcomes("outcomes", supposed.outcomes, analysed.declared),
    ]
    if findings:
        raise InvalidRulesetError(findings, _SOURCE)


def _supposed(supposed: Supposed, program: FlowProgram, entity_id: int, now_us: int) -> Iterator[RecordedAnswer]:
    """Yield what is supposed in the form of stored answers to these steps.

    InvalidRulesetError if a value does not fit the base currency.
    """
    about, canonical = (entity_id, ""), program.flow.canonical
    for step, answer in supposed.answers.items():
        yield RecordedAnswer(*about, step, "person", canonical_json({"answer": answer}), canonical)
    for step, content in supposed.outcomes.items():
        position = program.flow.positions[step]
        compiled = program.steps[position]
        assert isinstance(compiled, CompiledOutsideStep)
        outcome = outcome_given(content, now_us, _SOURCE)
        fitted_outcome = fitted(outcome, compiled.outputs, {})
        if fitted_outcome.failed != outcome.failed:
            raise InvalidRulesetError([Finding(f"outcomes, {step}", str(fitted_outcome.failed))], _SOURCE)
        yield RecordedAnswer(*about, step, program.flow.steps[position].kind, outcome.canonical, canonical)
