"""The review of a flow's text before it is committed: faults, doubts, fit with its organisation, and examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic

from sqlalchemy.orm import Session

from fivefold.domain.errors import Finding, FivefoldError, InvalidRulesetError
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow, with_asked
from fivefold.flows.checks import GroupInForce
from fivefold.flows.doubts import lint_flow
from fivefold.flows.examples import FlowExamples, run_flow_examples
from fivefold.flows.governance.diff import diff_flows
from fivefold.flows.governance.mutation import mutate_flow
from fivefold.flows.language import Flow
from fivefold.risk.compiler.analysis import (
    AnalysedPolicy,
    AnalysedRuleset,
    analyse_canonical,
    analyse_canonical_policy,
)
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.governance.differences import DocumentChange
from fivefold.risk.governance.mutation.run import Mutations
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_document
from fivefold.store.audit.chain import unchanged_canonical
from fivefold.store.flows.flows import draft_of_flow, flow_named, flow_or_none
from fivefold.store.flows.versions import newest_flow_version
from fivefold.store.ingest.entities import type_named
from fivefold.store.ingest.ownerships import types_owned
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.usecases.accounts.flows_in_force import Asked, everything_asked, groups_in_force, names_asked
from fivefold.usecases.flows.drafts import names_of_flow
from fivefold.usecases.flows.registrations import outside_diagnostics
from fivefold.usecases.rulesets.check import MOST_SECONDS, CheckedText
from fivefold.usecases.rulesets.life_cycle import SOURCE
from fivefold.usecases.rulesets.review import (
    OrganisationContext,
    context_of_type,
    organisation_findings,
    other_type_findings,
    percent_text,
    type_findings,
)
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class FlowContext:
    """What a flow has to fit: its organisation, and what it may ask there.

    Attributes:
        organisation: its name.
        around: levels, fields, lists, and least coverage.
        policies: those that decide now, by name.
        rulesets: those that decide now, by name.
        flows: those that act now, by name.
        versions_asked: the versions of all these.
        groups: the named groups of the type that are in force, by name.
        owned: the types of entities that those of the type own.
    """

    organisation: str
    around: OrganisationContext
    policies: Mapping[str, AnalysedPolicy]
    rulesets: Mapping[str, AnalysedRuleset]
    flows: Mapping[str, Flow]
    versions_asked: Asked
    groups: Mapping[str, GroupInForce]
    owned: tuple[str, ...]

    def analysed(self, flow: Flow) -> AnalysedFlow:
        """Analyse a flow together with what it may ask."""
        return with_asked(flow, self.policies, self.rulesets, self.flows)

    def pinned(self, analysed: AnalysedFlow) -> Asked:
        """Return the versions of what a flow asks."""
        names = names_asked(analysed)
        kinds = {
            kind: {name: each for name, each in versions.items() if name in names[kind]}
            for kind, versions in self.versions_asked.items()
        }
        return {kind: versions for kind, versions in kinds.items() if versions}


@dataclass(frozen=True)
class FlowExampleLine:
    """What became of an example.

    Attributes:
        ends: the id of the step at which it stopped, or `failed`.
        actions: that it took.
        differences: results other than expected; empty where it passed.
    """

    name: str
    ends: str
    actions: tuple[str, ...]
    differences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FlowCheck(CheckedText):
    """Everything that is to be known of a flow before it is committed; nothing of it is stored.

    Attributes:
        flow: the name that it has; None where it has none.
        content_hash: None where it cannot be read.
        findings: what is wrong and what is doubtful, those without a line first, then in the order of the text.
        examples: in the order of the text; they are run only where nothing is wrong.
        ways_percent: ways, rows, answers and ends that some example takes, with one decimal, as text.
        not_taken: those that no example takes.
        pinned: the versions of what it asks, by kind and name.
        compared_with: the number of the version that acts, or else of the newest; None where there is none.
        changes: from that version to the text, in words; none where it has the same content, or cannot be read.
    """

    flow: str | None
    content_hash: str | None
    findings: tuple[Finding, ...]
    examples: tuple[FlowExampleLine, ...] = ()
    ways_percent: str = "0.0"
    not_taken: tuple[str, ...] = ()
    pinned: Asked
    compared_with: int | None = None
    changes: tuple[DocumentChange, ...] = ()


def check_flow(context: Context, document: str) -> FlowCheck:
    """Review a text as committing it would; nothing is stored."""
    now = context.now()
    try:
        name, type_name = names_of_flow(document)
    except InvalidRulesetError as wrong:
        return FlowCheck(flow=None, content_hash=None, findings=tuple(wrong.findings), pinned={})
    if unknown := type_findings(context, type_name):
        return FlowCheck(flow=name, content_hash=None, findings=tuple(unknown), pinned={})
    with context.reading() as session:
        kind = type_named(session, context.organisation_id, type_name)
        fits = flow_context(session, kind)
        flow = flow_or_none(session, context.organisation_id, name)
        there = [] if flow is None else other_type_findings(session, flow.type_id, f"the flow {name}", type_name)
        present = None if flow is None else present_version(session, flow)
    return review_flow(document, fits, now, there, present)[0]


def try_flow_changes(context: Context, document: str, most_seconds: float = MOST_SECONDS) -> Mutations:
    """Change a text by one step at a time, and return the changes that no example notices; nothing is stored.

    Changes that were not tried within *most_seconds* are named as such.

    Raises:
        InvalidRulesetError: the text has faults, does not fit the organisation, has no examples, or one of them fails.
        NotFoundError: there is no such type of entities.
    """
    now, end = context.now(), monotonic() + most_seconds
    with context.reading() as session:
        fits = flow_context(session, type_named(session, context.organisation_id, names_of_flow(document)[1]))
    checked, analysed = review_flow(document, fits, now)
    if analysed is None or checked.errors:
        raise InvalidRulesetError(list(checked.errors))
    return mutate_flow(analysed, fits.around.lists, now, Document(document, SOURCE), is_over=lambda: monotonic() > end)


def review_flow_draft(context: Context, flow: str) -> FlowCheck:
    """Check a draft as committing it does, and change nothing; NotFoundError if there is none."""
    now = context.now()
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        document, fits = draft_of_flow(session, row).document, context_of_flow(session, row)
        present = present_version(session, row)
    return review_flow(document, fits, now, (), present)[0]


def context_of_text(context: Context, type_name: str) -> FlowContext:
    """Read what a text about a type has to fit; InvalidRulesetError where the organisation has no such type."""
    if unknown := type_findings(context, type_name):
        raise InvalidRulesetError(unknown, SOURCE)
    with context.reading() as session:
        return flow_context(session, type_named(session, context.organisation_id, type_name))


def context_of_flow(session: Session, flow: FlowRow) -> FlowContext:
    """Read what the versions of a flow have to fit."""
    return flow_context(session, session.get_one(EntityType, flow.type_id))


def flow_context(session: Session, kind: EntityType) -> FlowContext:
    """Read what flows of a type have to fit."""
    rows = everything_asked(session, kind.organisation_id)
    return FlowContext(
        organisation=session.get_one(Organisation, kind.organisation_id).name,
        around=context_of_type(session, kind),
        policies={
            name: analyse_canonical_policy(unchanged_canonical(row, name)) for name, row in rows.policies.items()
        },
        rulesets={name: analyse_canonical(unchanged_canonical(row, name)) for name, row in rows.rulesets.items()},
        flows={name: analyse_canonical_flow(unchanged_canonical(row, name)).flow for name, row in rows.flows.items()},
        versions_asked=rows.versions,
        groups=groups_in_force(session, kind.organisation_id, kind.id),
        owned=types_owned(session, kind),
    )


def review_flow(
    document: str,
    fits: FlowContext,
    now_us: int,
    found_before: tuple[Finding, ...] | list[Finding] = (),
    compared_with: FlowVersion | None = None,
) -> tuple[FlowCheck, AnalysedFlow | None]:
    """Review a text, and compare it with a version; return the flow too, if it can be read."""
    name = names_of_flow(document)[0]
    read = Document(document, SOURCE)
    try:
        flow = read_document(Flow, read, SOURCE)
    except InvalidRulesetError as wrong:
        return _check(name, None, [*found_before, *wrong.findings], fits, None, compared_with), None
    analysed = fits.analysed(flow)
    all_findings = [*found_before, *findings_in_organisation(analysed, fits, read)]
    all_findings += findings(outside_diagnostics(fits.organisation, analysed), flow, read)
    tested = None
    if not any(each.fatal for each in all_findings):
        try:
            tested = run_flow_examples(analysed, fits.around.lists, now_us, read)
        except InvalidRulesetError as wrong:
            all_findings += wrong.findings
        except FivefoldError as wrong:  # such as an invalid moment
            all_findings.append(Finding("examples", str(wrong)))
    if tested is not None:
        all_findings += _failures(tested, read, fits.around.minimum_coverage_percent)
    return _check(name, analysed, all_findings, fits, tested, compared_with), analysed


def findings_in_organisation(analysed: AnalysedFlow, fits: FlowContext, read: Document) -> list[Finding]:
    """Find faults and doubts in a flow, by itself and in its organisation: levels, fields, purposes, groups."""
    around = fits.around
    own_findings = lint_flow(analysed, around.lists, read, around.declared, groups=fits.groups, owned=fits.owned)
    return [*own_findings, *_placed(read, organisation_findings(analysed.flow, fits.around))]


def _check(
    name: str,
    analysed: AnalysedFlow | None,
    all_findings: list[Finding],
    fits: FlowContext,
    tested: FlowExamples | None,
    present: FlowVersion | None,
) -> FlowCheck:
    lines = () if tested is None else tested.results
    changes: tuple[DocumentChange, ...] = ()
    if present is not None and analysed is not None:
        changes = diff_flows(analyse_canonical_flow(present.canonical).flow, analysed.flow).changes
    return FlowCheck(
        flow=name,
        content_hash=None if analysed is None else analysed.flow.content_hash,
        findings=tuple(sorted(all_findings, key=lambda each: (each.line or 0, each.column or 0))),
        examples=tuple(
            FlowExampleLine(
                each.name,
                "failed" if each.explanation.status == "failed" else each.explanation.at,
                tuple(action.action for action in each.explanation.actions),
                each.differences,
            )
            for each in lines
        ),
        ways_percent="0.0" if tested is None else percent_text(_share(tested)),
        not_taken=() if tested is None else tuple(tested.missing()),
        pinned={} if analysed is None else fits.pinned(analysed),
        compared_with=None if present is None else present.number,
        changes=changes,
    )


def _failures(tested: FlowExamples, read: Document, minimum_percent: int) -> list[Finding]:
    """Find examples with unexpected results, and coverage below the organisation's minimum."""
    failures = []
    for number, result in enumerate(tested.results):
        for word, difference in result.unexpected:
            _, line, column = read.position(("examples", number, word))
            failures.append(Finding(f"example {result.name}", difference, line, column=column))
    if tested.ways and _share(tested) < minimum_percent:
        missing = ", ".join(tested.missing())
        least = f"at least {minimum_percent} % are needed by the organisation"
        failures.append(Finding("examples", f"take {percent_text(_share(tested))} % of ways, {least}: {missing}"))
    return failures


def _share(tested: FlowExamples) -> Decimal:
    return Decimal(100 * sum(tested.ways.values())) / len(tested.ways) if tested.ways else Decimal(100)


def _placed(read: Document, unplaced_findings: list[Finding]) -> list[Finding]:
    """Return findings about the organisation with their lines."""
    placed = []
    for each in unplaced_findings:
        path, line, column = read.position(tuple(each.where.split(", ")))
        placed.append(Finding(each.where, each.problem, line, column=column) if path else each)
    return placed


def present_version(session: Session, flow: FlowRow) -> FlowVersion | None:
    """Find the version that a text is compared with: the one that acts, or the one that was committed last."""
    if flow.active_version_id is not None:
        return session.get_one(FlowVersion, flow.active_version_id)
    return newest_flow_version(session, flow.id)
