"""The rulesets beside one that gets a proposal: the proposal uses only the entities on which that one decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fivefold.domain.errors import ConfigError, InvalidRulesetError, NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.compiler.purposes import place_diagnostics
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.facts.portfolio import ENTITY, NamedList, Portfolio
from fivefold.risk.governance.backtest.compositions import NOBODY, Composition, PriorState, deciding_assessments
from fivefold.risk.governance.lint.ruleset import purpose_sources
from fivefold.risk.language.ruleset import Ruleset


@dataclass(frozen=True)
class Beside:
    """The rulesets that are tried before another one and after it; none if that decides alone."""

    first: tuple[AnalysedRuleset, ...] = ()
    then: tuple[AnalysedRuleset, ...] = ()

    def around(self, ruleset: AnalysedRuleset) -> list[AnalysedRuleset]:
        """Return all rulesets in the order in which they are tried, with *ruleset* in its place."""
        return [*self.first, ruleset, *self.then]


ALONE = Beside()


@dataclass(frozen=True)
class DecidedOn:
    """The entities on which one ruleset decides.

    Attributes:
        assessments: their assessments; of all entities if no other ruleset decides beside it.
        elsewhere: the number of entities on which each other ruleset decides, and on which none does.
    """

    assessments: Assessments
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    def cautions(self) -> tuple[str, ...]:
        """Describe the entities that are left out; empty if there are none."""
        others = {name: count for name, count in self.elsewhere.items() if name != NOBODY}
        left = []
        if others:
            which = ", ".join(f"{name} {count:,}" for name, count in others.items())
            counted = count_text(sum(others.values()), "entity", "entities")
            left.append(f"{counted} on whom other rulesets decide are left out: {which}.")
        if NOBODY in self.elsewhere:
            counted = count_text(self.elsewhere[NOBODY], "entity", "entities")
            left.append(f"{counted} to whom no ruleset applies are left out.")
        return tuple(left)


def assess_decided(ruleset: AnalysedRuleset, beside: Beside, portfolio: Portfolio, as_of: int) -> DecidedOn:
    """Assess the entities on which a ruleset decides, by `risk.engine.deciding`, without held levels.

    Raises:
        InvalidRulesetError: something that a ruleset needs is missing.
        ConfigError: the rulesets cannot decide side by side.
        NotEnoughDataError: others decide beside it, and it decides on no entity.
    """
    if beside == ALONE:
        return DecidedOn(assess(ruleset, portfolio, as_of))
    name = ruleset.ruleset.name
    composition = composed(beside.around(ruleset), portfolio.lists)
    parts = dict(deciding_assessments(composition, portfolio, as_of, PriorState()))
    everyone, counts = portfolio.entities[ENTITY].n_unique(), {each: len(part) for each, part in parts.items()}
    if name not in parts:
        raise NotEnoughDataError(f"of {everyone:,} entities {name} decides on nobody beside the other rulesets")
    nobody = everyone - sum(counts.values())
    elsewhere = {each: count for each, count in counts.items() if each != name}
    return DecidedOn(parts[name], elsewhere | ({NOBODY: nobody} if nobody else {}))


def composed(rulesets: Sequence[AnalysedRuleset], lists: Mapping[str, NamedList]) -> Composition:
    """Compose rulesets that decide side by side, in the given order, each by its name.

    Args:
        rulesets: the rulesets in order; at least one.
        lists: all lists that they may name; a list without a purpose is for aml.

    Raises:
        ConfigError: two have the same name, different levels or different types of entity.
        InvalidRulesetError: data for aml determine the entities of a ruleset for commerce.
    """
    first, *others = (each.ruleset for each in rulesets)
    for other in others:
        require_same_kind(first, other)
    names = [each.ruleset.name for each in rulesets]
    if len(set(names)) < len(names):
        raise ConfigError(f"two of the rulesets have the name {max(names, key=names.count)}; each must have its own")
    for ruleset, diagnostic in place_diagnostics([first, *others], purpose_sources(lists)):
        raise InvalidRulesetError(findings([diagnostic], ruleset), f"ruleset {ruleset.name}")
    return Composition(dict(zip(names, rulesets, strict=True)))


def require_same_kind(first: Ruleset, other: Ruleset) -> None:
    """Refuse rulesets that cannot decide side by side."""
    if first.levels != other.levels:
        raise ConfigError(
            f"{other.name} has the levels {', '.join(other.levels)}, and {first.name} {', '.join(first.levels)}; "
            "rulesets that decide side by side must have the same"
        )
    if first.entity_type != other.entity_type:
        raise ConfigError(
            f"{other.name} is for entities of type {other.entity_type}, and {first.name} for {first.entity_type}; "
            "rulesets that decide side by side must be for the same"
        )
