"""Analysis of a group by itself: what its condition reads, and everything that is wrong or doubtful."""

from collections.abc import Iterator
from functools import cached_property, lru_cache

from fivefold.domain.errors import Finding
from fivefold.flows.groups.language import Group
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed
from fivefold.risk.compiler.checks import taken_names, twice
from fivefold.risk.compiler.diagnostics import Diagnostic, findings, warning
from fivefold.risk.compiler.locations import Location, inputs_named, inputs_of_calculations
from fivefold.risk.compiler.purposes import Reading, SourceReader, Sources, purpose_name_diagnostics
from fivefold.risk.compiler.units import unit_diagnostics
from fivefold.risk.compiler.value_types import inputs_of
from fivefold.risk.governance.lint.reachability import try_conditions
from fivefold.risk.governance.lint.ruleset import (
    Lists,
    lint_scope,
    list_diagnostics,
    purpose_sources,
    unused_calculations,
    unused_links,
)
from fivefold.risk.governance.lint.texts import text_diagnostics
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.expressions import distinct
from fivefold.risk.language.policy import LevelInput, StepInput, TransactionInput
from fivefold.risk.language.purposes import PolicyPurposes
from fivefold.risk.language.reading import read_stored


class AnalysedGroup(Analysed[Group]):
    """A group with its analysis."""

    @property
    def group(self) -> Group:
        """The group itself."""
        return self.definition

    @cached_property
    def conditions(self) -> tuple[Location, ...]:
        """The condition of membership, with its path."""
        return (Location(("when",), self.group.condition),)

    @cached_property
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that the condition reads, each once."""
        return tuple(distinct(inputs_of(self.group.condition)))

    @cached_property
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every input wherever it is written, with its path."""
        named = (at for place in self.conditions for at in inputs_named(place))
        return (*inputs_of_calculations(self.group), *named)

    @cached_property
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """The faults of names, levels and units, and inputs that no entity has by itself."""
        return (
            *taken_names(self.group),
            *twice(("levels",), self.group.levels, "level"),
            *unit_diagnostics(self.group.calculate, self.names),
            *(_of_nobody(path, each) for path, each in self.inputs_with_paths if _is_of_nobody(each)),
        )

    def purpose_diagnostics(self, sources: Sources) -> Iterator[Diagnostic]:
        """Find what the group reads for commerce that was gathered against money laundering, with the path to it."""
        if self.group.purpose != "aml":
            sources_named = set[str]()
            for each in self.readings(sources):
                if not each.is_allowed and each.source not in sources_named:
                    sources_named.add(each.source)
                    alone = f"for aml alone ({each.hint})" if each.hint else "for aml alone"
                    served = "commerce" if self.group.purpose == "commercial" else "aml and commerce"
                    way = " → ".join(each.steps)
                    problem = f"reads {each.source}, which is {alone}, and the group is for {served}: {way}"
                    yield Diagnostic(each.path, problem, check="purposes")
        yield from purpose_name_diagnostics(self.group)

    def readings(self, sources: Sources) -> Iterator[Reading]:
        """Yield what the group reads: everything once for each path to it, in the order written.

        A group kept by flows reads nothing by itself: what may not reach its members is checked in those flows.
        """
        if self.group.kept_by is not None:
            return
        reader = SourceReader(self.group, sources)
        readings_by_steps: dict[tuple[str, ...], Reading] = {}
        for place in self.conditions:
            named = [(path, *at) for path, each in inputs_named(place) for at in reader.read(each).items()]
            for path, source, chain in [*named, *((path, source, ()) for path, source in reader.lists_in(place))]:
                steps = (f"group {self.group.name}", *chain, source.words)
                reading = Reading(
                    path=path,
                    steps=steps,
                    source=source.words,
                    purpose=source.purpose,
                    part="group",
                    serves=self.group.purpose,
                    hint=source.hint,
                )
                readings_by_steps.setdefault(steps, reading)
        yield from readings_by_steps.values()


def _is_of_nobody(rule_input: LanguageModel) -> bool:
    is_age = isinstance(rule_input, LevelInput) and rule_input.level == "age_days"
    return is_age or isinstance(rule_input, TransactionInput | StepInput)


def _of_nobody(path: Path, rule_input: LanguageModel) -> Diagnostic:
    if isinstance(rule_input, LevelInput):
        problem = "a group is looked at whenever a level is computed, so that is always 0 days old"
    elif isinstance(rule_input, TransactionInput):
        problem = "a group has no transaction that is being decided on; aggregates read those that happened"
    else:
        problem = "a group has no steps"
    return Diagnostic(path, problem)


def lint_group(
    analysed: AnalysedGroup,
    lists: Lists | None,
    document: Document | None = None,
    declared: PolicyPurposes | None = None,
) -> list[Finding]:
    """Find everything that is wrong or doubtful in a group.

    Args:
        analysed: the group.
        lists: the named lists; without them, what depends on them is undecided, and a warning says so.
        document: the document it was read from; without it the findings have no line numbers.
        declared: the purposes of the entity type's data and level, beside those in the group.
    """
    fatal = analysed.draft_diagnostics
    diagnostics = [*fatal, *list_diagnostics(analysed, lists)]
    diagnostics += analysed.purpose_diagnostics(purpose_sources(lists, declared))
    if analysed.group.rationale is None:
        diagnostics.append(warning(("group",), "has no written rationale"))
    if not analysed.group.examples and analysed.group.kept_by is None:
        diagnostics.append(warning(("group",), "has no examples, so nobody sees who is a member"))
    diagnostics += [*unused_calculations(analysed), *unused_links(analysed), *text_diagnostics(analysed.group)]
    if not fatal and analysed.group.kept_by is None:
        diagnostics += _always_or_never(analysed, lists)
    return findings(diagnostics, analysed.group, document)


def _always_or_never(analysed: AnalysedGroup, lists: Lists | None) -> Iterator[Diagnostic]:
    """Find a condition that holds for all values, or for none."""
    trial = try_conditions(analysed.conditions, lint_scope(analysed, lists))
    if trial is None or not trial.exact:
        return
    truths = trial.truths.to_series(0)
    if not truths.fill_null(value=False).any():
        yield warning(("when",), "never holds, whatever the values: the group has no members")
    elif truths.fill_null(value=False).all():
        yield warning(("when",), "always holds, whatever the values: everybody is a member")


@lru_cache(maxsize=VERSIONS_KEPT)
def analyse_canonical_group(canonical: str) -> AnalysedGroup:
    """Read a stored group from its canonical form, once for the same content; InvalidRulesetError as its reader's."""
    return AnalysedGroup(read_stored(Group, canonical))
