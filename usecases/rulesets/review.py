"""The review of a draft before it is committed: errors, warnings, fit to the organisation, and its examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import Finding, FivefoldError, InvalidRulesetError
from fivefold.flows.groups.language import Group
from fivefold.flows.language import Flow
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.examples.run import ExampleResults, run_examples
from fivefold.risk.governance.lint.ruleset import lint_text, lint_text_by_check
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.purposes import PolicyPurposes
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.rulesets.rulesets import draft_of, family_named
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.entity_types import (
    PARTS,
    Fields,
    how_to_declare_field,
    how_to_declare_links,
    list_types,
    read_fields,
    same_type,
    type_json,
)
from fivefold.usecases.accounts.lists import named_lists
from fivefold.usecases.accounts.purposes import declared_of
from fivefold.usecases.accounts.settings import settings_of
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class OrganisationContext:
    """What a ruleset has to fit: its organisation's levels, fields of the type, lists and least coverage.

    Attributes:
        declared: the purposes of the type's data, and of its level.
        links: the kinds of the type's links by name.
    """

    levels: tuple[str, ...]
    type_name: str
    fields: Mapping[str, Fields]
    lists: Mapping[str, NamedList]
    minimum_coverage_percent: int
    declared: PolicyPurposes
    links: Mapping[str, str]


@dataclass(frozen=True)
class ExampleLine:
    """What became of an example."""

    name: str
    line: str
    differences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Review:
    """Everything that is to be known of a draft before it is committed.

    Attributes:
        revision: of the draft that was looked at.
        content_hash: what its backtest must be of; None where it cannot be read.
        errors: what makes it impossible to commit; the examples are run only without any.
        warnings: it can be committed with them if a reason is given.
        examples: in the order of the draft.
        rules_percent: rules that some example reaches, with one decimal, as text.
        cases_percent: the same of cases.
        not_reached: cases that no example reaches.
    """

    family: str
    revision: int
    content_hash: str | None
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    examples: tuple[ExampleLine, ...]
    rules_percent: str
    cases_percent: str
    not_reached: tuple[str, ...]


def review_draft(context: Context, family: str) -> Review:
    """Check a draft as a commit does, and change nothing; NotFoundError without a draft."""
    now = context.now()
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        draft, around = draft_of(session, family_row), context_of(session, family_row)
    return review(draft.document, family, draft.revision, around, now)[0]


def context_of(session: Session, family: Family) -> OrganisationContext:
    """Read what the rulesets of a family have to fit."""
    return context_of_type(session, session.get_one(EntityType, family.type_id))


def context_of_type(session: Session, kind: EntityType) -> OrganisationContext:
    """Read what rulesets and policies of a type have to fit."""
    settings = settings_of(session, kind.organisation_id)
    return OrganisationContext(
        levels=settings.levels,
        type_name=kind.name,
        fields={part: read_fields(getattr(kind, part)) for part in PARTS},
        lists=named_lists(session, kind.organisation_id),
        minimum_coverage_percent=settings.minimum_coverage_percent,
        declared=declared_of(session, kind),
        links=kind.links or {},
    )


def review(
    document: str, name: str, revision: int, around: OrganisationContext, now_us: int
) -> tuple[Review, Ruleset | None]:
    """Review a draft of a *revision*, 0 for one not saved; return the ruleset too, None if it cannot be read."""
    analysed, findings = lint_text(document, around.lists, declared=around.declared)
    errors = [finding for finding in findings if finding.fatal]
    warnings = tuple(finding for finding in findings if not finding.fatal)
    if analysed is None:
        return Review(
            family=name,
            revision=revision,
            content_hash=None,
            errors=tuple(errors),
            warnings=warnings,
            examples=(),
            rules_percent="0.0",
            cases_percent="0.0",
            not_reached=(),
        ), None
    ruleset = analysed.ruleset
    errors += organisation_findings(ruleset, around)
    tested = None
    if not errors:
        try:
            tested = run_examples(analysed, around.lists, now_us)
        except InvalidRulesetError as wrong:
            errors += wrong.findings
        except FivefoldError as wrong:  # such as an invalid moment
            errors.append(Finding("examples", str(wrong)))
    if tested is not None:
        errors += _failures(tested, ruleset, around.minimum_coverage_percent)
    return _review(name, revision, ruleset, errors, warnings, tested), ruleset


def _review(
    name: str,
    revision: int,
    ruleset: Ruleset,
    errors: list[Finding],
    warnings: tuple[Finding, ...],
    tested: ExampleResults | None,
) -> Review:
    lines = [] if tested is None else tested.results
    return Review(
        family=name,
        revision=revision,
        content_hash=ruleset.content_hash,
        errors=tuple(errors),
        warnings=warnings,
        examples=tuple(ExampleLine(each.name, each.explanation.line, each.differences) for each in lines),
        rules_percent=percent_text(Decimal(0) if tested is None else tested.rule_share),
        cases_percent=percent_text(Decimal(0) if tested is None else tested.case_share),
        not_reached=() if tested is None else tuple(tested.missing()),
    )


def percent_text(share: Decimal) -> str:
    """Write a share with one decimal, cut off: 99.96 is not 100.

    >>> percent_text(Decimal("99.96")), percent_text(Decimal(100))
    ('99.9', '100.0')
    """
    return str(share.quantize(Decimal("0.1"), ROUND_DOWN))


def _failures(tested: ExampleResults, ruleset: Ruleset, minimum: int) -> Iterator[Finding]:
    for result in tested.results:
        for difference in result.differences:
            yield Finding(f"example {result.name}", difference)
    for what, share, own in (
        ("rules", tested.rule_share, ruleset.coverage.rules),
        ("cases", tested.case_share, ruleset.coverage.cases),
    ):
        least = own if own >= minimum else Decimal(minimum)
        if share < least:
            missing = ", ".join(tested.missing())
            whose = " by the organisation" if own < minimum else ""
            yield Finding(
                "examples", f"reach {percent_text(share)} % of {what}, at least {least} % are needed{whose}: {missing}"
            )


def type_findings(context: Context, type_name: str) -> list[Finding]:
    """Return a finding if the organisation has no entity type of this name."""
    types = [each.name for each in list_types(context)]
    problem = f"is {type_name}; the types of entities are {', '.join(types) or 'none'}"
    return [] if type_name in types else [Finding("entity_type", problem)]


def other_type_findings(session: Session, type_id: int, called: str, type_name: str) -> list[Finding]:
    """Return a finding if a text names another type than its subject has for good; *called* names the subject."""
    own = session.get_one(EntityType, type_id).name
    problem = f"is {type_name}; {called} is of the type {own}, for good"
    return [] if own == type_name else [Finding("entity_type", problem)]


def organisation_findings(document: Ruleset | Policy | Flow | Group, context: OrganisationContext) -> list[Finding]:
    """Find where a ruleset, a policy, a flow or a group does not fit its organisation: levels, fields and links."""
    findings = []
    if document.levels != context.levels:
        there = ", ".join(context.levels)
        findings.append(Finding("levels", f"are {', '.join(document.levels)}; those of the organisation are {there}"))
    for part in PARTS:
        findings += _strange_fields(part, getattr(document, part), context)
    return [*findings, *_strange_links(document, context)]


def _strange_links(document: Ruleset | Policy | Flow | Group, context: OrganisationContext) -> Iterator[Finding]:
    for name, declared in document.links.items():
        kind = context.links.get(name)
        if kind is None:
            there = ", ".join(context.links) or "none"
            how = how_to_declare_links(context.type_name)
            yield Finding(f"links, {name}", f"is not a link of the type {context.type_name}; there are {there}; {how}")
        elif kind != declared.kind:
            yield Finding(f"links, {name}", f"is {declared.kind}; of the type {context.type_name} it is {kind}")


def _strange_fields(part: str, declared: Fields, context: OrganisationContext) -> Iterator[Finding]:
    there: Any = context.fields[part]
    for name, kind in declared.items():
        if name not in there:
            known_names = ", ".join(there) or "none"
            how = how_to_declare_field(context.type_name, part, name, kind)
            problem = f"is not a field of the type {context.type_name}; there are {known_names}; {how}"
            yield Finding(f"{part}, {name}", problem)
        elif not same_type(kind, there[name]):
            yield Finding(
                f"{part}, {name}",
                f"is {type_json(kind)}; of the type {context.type_name} it is {type_json(there[name])}",
            )


def refuse_misfits(document: Policy | Group, context: OrganisationContext, source: str) -> None:
    """Raise InvalidRulesetError if a text does not fit its organisation; *source* names it in the message."""
    if wrong := organisation_findings(document, context):
        raise InvalidRulesetError(wrong, source)


def read_matching_ruleset(document: str, around: OrganisationContext) -> Ruleset:
    """Read a ruleset that can be run on the data of an organisation; InvalidRulesetError names what prevents that.

    Its examples may be wrong, as a run does not need them.
    """
    analysed, checked = lint_text_by_check(document, around.lists, declared=around.declared)
    wrong = [finding for diagnostic, finding in checked if finding.fatal and diagnostic.check != "examples"]
    wrong += [] if analysed is None else organisation_findings(analysed.ruleset, around)
    if analysed is None or wrong:
        raise InvalidRulesetError(wrong)
    return analysed.ruleset
