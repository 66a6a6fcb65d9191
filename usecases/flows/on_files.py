"""Flows on files: those that ship and one's own, and a run of one, with its models, for every entity of a portfolio.

What comes from outside in a run is read from a file too, so that flows which ask the outside can be run on files.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError, Finding, InvalidDataError, InvalidRulesetError, Problem
from fivefold.domain.settings import Settings
from fivefold.domain.text import perhaps, why_unreadable
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.doubts import lint_flow_document
from fivefold.flows.language import Flow, ModelStep, OutsideStep, PersonStep
from fivefold.flows.outside.outcomes import OutsideOutcome, fitted, read_outcome
from fivefold.flows.outside.question import asking_step, sent_facts
from fivefold.flows.policies import analysed_policy_flow
from fivefold.flows.run import Runs, run_flow
from fivefold.flows.steps import STOP, RunContext, Stop
from fivefold.risk.compiler.analysis import Analysed, AnalysedPolicy, AnalysedRuleset
from fivefold.risk.compiler.diagnostics import Diagnostic, findings
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.engine.assessments import STATUS, Status
from fivefold.risk.engine.levels import LEVEL, OVERRIDDEN, RULES_LEVEL
from fivefold.risk.facts.inputs import LEVEL_TYPES
from fivefold.risk.facts.portfolio import ENTITY, NamedList, Portfolio
from fivefold.risk.governance.backtest.compositions import PriorState
from fivefold.risk.governance.lint.ruleset import unread
from fivefold.risk.language.documents import Document
from fivefold.risk.language.policy import LevelInput, Policy, StepInput, TransactionInput
from fivefold.risk.language.reading import read_document
from fivefold.usecases.flows.asked_files import AskedFiles, flow_text, load_asked
from fivefold.usecases.flows.models.permitted import ModelRegistration, ModelsPermitted
from fivefold.usecases.portfolio_files.assess import assess_portfolio
from fivefold.usecases.portfolio_files.bundled import text_of
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles, read_with_warnings
from fivefold.usecases.portfolio_files.tables import TableFile, read_frame


def read_outcomes(
    flow: AnalysedFlow, path: Path, entities: pl.Series, base: str
) -> dict[str, list[OutsideOutcome | None]]:
    """Read what came from outside, by the step and in the rows of entities.

    Each line is a JSON object: `entity_id`, `step`, and `values` by the name of the output or `failed` with the reason;
    `source` and `at_us` where they are known, as a run's record has them.

    ConfigError names the line that cannot be used.
    """
    columns = _columns(flow, base)
    rows = {entity: number for number, entity in enumerate(entities)}
    outcomes: dict[str, list[OutsideOutcome | None]] = {step: [None] * len(entities) for step in columns}
    for number, line in enumerate(text_of(path, str(path)).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        content = _object(line, where)
        entity, step = str(content.get("entity_id")), content.get("step")
        if step not in columns:
            there = ", ".join(columns) or "none"
            raise ConfigError(
                f"{where}: {step!r} asks nobody outside; steps that do are {there}{perhaps(str(step), columns)}"
            )
        if entity not in rows:
            raise ConfigError(f"{where} is about {entity!r}, which is not an entity that was read")
        if outcomes[step][rows[entity]] is not None:
            raise ConfigError(f"{where}: entity {entity} has two outcomes at {step}")
        outcomes[step][rows[entity]] = _outcome(content, flow, columns[step], where)
    return outcomes


def _columns(flow: AnalysedFlow, base: str) -> dict[str, dict[str, InputColumn]]:
    return {
        step.id: {
            name: column_for(StepInput(step=step.id, output=name), flow.names, base) for name in step.asks.output_kinds
        }
        for step in flow.flow.steps
        if isinstance(step, OutsideStep)
    }


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not JSON: {why_unreadable(error)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{where} is not a JSON object")
    return content


def _outcome(
    content: Mapping[str, Any], flow: AnalysedFlow, columns: Mapping[str, InputColumn], where: str
) -> OutsideOutcome:
    step = content["step"]
    choices = {name: output.choices for name, output in flow.names.outputs[step].items()}
    try:
        outcome = read_outcome({"source": "a file", "at_us": 0, **content}, columns)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{where}: {error}") from None
    fitted_outcome = fitted(outcome, columns, choices)
    if fitted_outcome.failed != outcome.failed:
        raise ConfigError(f"{where}: {fitted_outcome.failed}")
    return fitted_outcome


def load_flow(source: str, asks: Sequence[Path] = ()) -> AnalysedFlow:
    """Read a flow and what it may ask, or a policy as the flow that it is; errors as `flow_text` and `load_asked`."""
    document = Document(flow_text(source), source)
    if isinstance(document.data, dict) and Policy.word in document.data:
        return analysed_policy_flow(AnalysedPolicy(read_document(Policy, document, source)))
    return load_asked(asks).analysed(read_document(Flow, document, source))


def load_usable_flow(source: str, asks: Sequence[Path]) -> tuple[AnalysedFlow, Document]:
    """Read a flow with its document; InvalidRulesetError names each fault with its line if it cannot run."""
    document = Document(flow_text(source), source)
    analysed = load_flow(source, asks)
    if Policy.word in document.data:  # the steps of its flow have no lines in it
        analysed.require_usable()
    if analysed.errors:
        faults = (*analysed.diagnostics, *analysed.purpose_diagnostics(Sources()))
        raise InvalidRulesetError(findings(faults, analysed.flow, document), source)
    return analysed, document


def lint_flow_file(
    source: str, asked_files: AskedFiles, lists: Mapping[str, NamedList], *, notes: bool
) -> list[tuple[Diagnostic, Finding]]:
    """Find faults and doubts in a flow's file, or in one that ships.

    A file that is missing, or not text, is a finding like others. *notes* adds where a run fails, and what is not
    decided.
    """
    try:
        document = Document(flow_text(source))
    except (ConfigError, InvalidRulesetError) as error:
        return unread(error)
    return lint_flow_document(document, asked_files.analysed, lists, notes=notes)


def run_on_files(
    flow: AnalysedFlow,
    files: PortfolioFiles,
    as_of: int,
    *,
    rulesets: Sequence[AnalysedRuleset],
    answers: Path | None,
    outcomes: Path | None,
    models: ModelsPermitted | None,
) -> Runs:
    """Run a flow for every entity of a portfolio.

    Args:
        flow: the flow, with all that it asks.
        files: the portfolio.
        as_of: the moment, microseconds.
        rulesets: give the level, the first that applies to an entity; empty if the flow reads no level.
        answers: answers of persons: `entity_id`, `step`, `answer`; None if there are none yet.
        outcomes: outcomes of steps that ask the outside, as `read_outcomes` reads them; None if there are none yet.
        models: the models of the registry that steps may ask; None for none.

    Raises:
        ConfigError: the flow looks at a transaction, or reads a level that no ruleset gives, or a file cannot be used.
        InvalidRulesetError: something that it reads is missing.
    """
    flow.require_usable()
    read: list[Analysed[Any]] = [flow, *flow.dependencies.values()]
    _refuse(read, rulesets)
    portfolio = read_with_warnings(files, [*rulesets, *read], as_of)
    entities = portfolio.entities
    if entities[ENTITY].n_unique() < len(entities):
        twice = entities.filter(entities[ENTITY].is_duplicated())[ENTITY][0]
        raise ConfigError(f"{files.entities} has entity {twice!r} in several rows; a flow is run once for each")
    if rulesets:
        portfolio = replace(portfolio, levels=_levels(rulesets, portfolio, as_of))
    answers_by_step = None if answers is None else _answers(flow, TableFile(answers, files.warn), entities[ENTITY])
    came = {} if outcomes is None else read_outcomes(flow, outcomes, entities[ENTITY], portfolio.rates.base)
    runs = run_flow(flow, portfolio, as_of, answers_by_step, came)
    return runs if models is None else with_models(runs, answers_by_step or {}, came, models, now_microseconds)


def _refuse(read: Sequence[Analysed[Any]], rulesets: Sequence[AnalysedRuleset]) -> None:
    flow = read[0].definition
    kinds = {type(each) for analysed in read for each in analysed.simple_inputs}
    if TransactionInput in kinds:
        raise ConfigError(
            f"flow {flow.name} looks at the transaction that it is run for, and files have no such one; "
            "its examples give one, and fivefold flows test runs them"
        )
    if LevelInput in kinds and not rulesets:
        raise ConfigError(f"flow {flow.name} reads the level; say with --ruleset which ruleset gives it")
    for each in rulesets:
        if each.ruleset.entity_type != flow.entity_type:
            raise ConfigError(
                f"flow {flow.name} is about entities of the type {flow.entity_type}, and ruleset {each.ruleset.name} "
                f"gives levels to those of the type {each.ruleset.entity_type}"
            )
        if each.ruleset.levels != flow.levels:
            ours, theirs = ", ".join(flow.levels), ", ".join(each.ruleset.levels)
            raise ConfigError(f"flow {flow.name} has the levels {ours}, and ruleset {each.ruleset.name} {theirs}")


def _levels(rulesets: Sequence[AnalysedRuleset], portfolio: Portfolio, as_of: int) -> pl.DataFrame:
    """Assess all entities, and return the levels as flows read them; computed at this moment, so of no age."""
    parts = assess_portfolio(rulesets, portfolio, as_of, PriorState()).parts
    in_force = pl.when(pl.col(STATUS) != Status.NOT_APPLICABLE.value).then(pl.col(LEVEL))
    rows = [
        part.outcomes.select(
            ENTITY,
            in_force.alias("in_force"),
            pl.col(RULES_LEVEL).alias("rules"),
            pl.col(STATUS).alias("status"),
            pl.when(pl.col(OVERRIDDEN)).then(pl.lit("override")).otherwise(pl.lit("rules")).alias("source"),
            pl.lit(0.0).alias("age_days"),
        )
        for part in parts
    ]
    return pl.concat(rows).cast(dict(LEVEL_TYPES))  # type: ignore[arg-type]  # names and their types


def _answers(flow: AnalysedFlow, file: TableFile, entities: pl.Series) -> Mapping[str, pl.Series]:
    frame = read_frame(file)
    missing = [name for name in ("step", "answer") if name not in frame.columns]
    if missing:
        raise ConfigError(f"{file.path} has no column {', '.join(missing)}; answers are entity_id, step, answer")
    persons = {step.id: step for step in flow.flow.steps if isinstance(step, PersonStep)}
    rows = frame.select(pl.col(ENTITY, "step", "answer").cast(pl.String))
    problems = list(_problems_of_answers(persons, rows, set(entities)))
    if problems:
        raise InvalidDataError(problems, source=str(file.path))
    everyone = entities.alias(ENTITY).to_frame()
    return {
        step: everyone.join(rows.filter(pl.col("step") == step), on=ENTITY, how="left", maintain_order="left")["answer"]
        for step in persons
    }


def _problems_of_answers(
    persons: Mapping[str, PersonStep], rows: pl.DataFrame, entities: Collection[str]
) -> Iterator[Problem]:
    """Find what is wrong with each row of a file of answers."""
    step_names = ", ".join(persons) or "no step: this flow asks nobody"
    answered_pairs: set[tuple[str, str]] = set()
    for number, (entity, step, answer) in enumerate(rows.rows()):
        if entity not in entities:
            yield Problem(number, ENTITY, f"is {entity!r}", "an entity that was read")
        if step not in persons:
            yield Problem(number, "step", f"is {step!r}", step_names)
        elif answer not in (answers := (*persons[step].person.answers, "nobody")):
            yield Problem(number, "answer", f"is {answer!r}", f"at {step}, {', '.join(answers)}")
        if (entity, step) in answered_pairs:
            yield Problem(number, ENTITY, f"is {entity!r}", f"one answer of an entity at {step}")
        answered_pairs.add((entity, step))


def explanation_lines(runs: Runs) -> Iterator[str]:
    """Yield why each run came to its end, as lines of canonical JSON."""
    return (
        f"{canonical_json({'entity': entity, **explanation.as_json()})}\n" for entity, explanation in runs.explain_all()
    )


def models_named(flow: Flow, names: Sequence[str], settings: Settings) -> ModelsPermitted:
    """Permit a flow to ask the named models; ConfigError for one that it does not ask."""
    model_names = dict.fromkeys(step.model.name for step in flow.steps if isinstance(step, ModelStep))
    for name in names:
        if name not in model_names:
            there = ", ".join(model_names) or "none"
            raise ConfigError(
                f"--ask-model {name}: the flow asks no such model; it asks {there}{perhaps(name, model_names)}"
            )
    # The person who runs it on files decides by naming the model what it is for.
    return ModelsPermitted({name: ModelRegistration(title=name, purpose="both") for name in names}, settings)


def with_models(
    runs: Runs,
    answers: Mapping[str, pl.Series],
    outcomes: Mapping[str, Sequence[OutsideOutcome | None]],
    permitted: ModelsPermitted,
    clock: Callable[[], int],
) -> Runs:
    """Ask the permitted models for the runs that stopped there, each for all of these at once, until no run asks.

    Args:
        runs: the runs so far.
        answers: the answers with which they were run.
        outcomes: the outcomes with which they were run.
        permitted: the models that may be asked.
        clock: returns the present, microseconds.
    """
    from fivefold.usecases.flows.models.ask import answers_of_model  # noqa: PLC0415 (imports MLflow)

    came = {step: list(each) for step, each in outcomes.items()}
    while asking := _asking(runs, permitted):
        for step, positions in asking:
            facts = [sent_facts(runs.program, runs.outcomes.row(place, named=True)) for place in positions]
            own = came.setdefault(step.id, [None] * len(runs))
            for place, outcome in zip(positions, answers_of_model(permitted, step, facts, clock), strict=True):
                own[place] = outcome
        run_context = RunContext(runs.facts.dependency_inputs, answers, runs.program.outcome_frames(came))
        runs = replace(runs, outcomes=runs.program.run(runs.facts.own, run_context))
    return runs


def _asking(runs: Runs, permitted: ModelsPermitted) -> list[tuple[ModelStep, list[int]]]:
    """Return the steps at which runs ask a permitted model, with the rows of these runs."""
    positions_by_step: dict[str, tuple[ModelStep, list[int]]] = {}
    for place in (runs.outcomes[STOP] == int(Stop.ASKS)).arg_true():
        step = asking_step(runs.program, runs.outcomes.row(int(place), named=True))
        if isinstance(step, ModelStep) and step.model.name in permitted.allowed:
            positions_by_step.setdefault(step.id, (step, []))[1].append(int(place))
    return list(positions_by_step.values())
