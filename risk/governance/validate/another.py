"""Another ruleset beside the validated one: the paired difference and on whom it rests, or why there is none."""

from dataclasses import dataclass

from fivefold.domain.text import count_text
from fivefold.risk.governance.validate.ranking import RESAMPLES, Marks, Numbers, Paired, compare_rankings


@dataclass(frozen=True, kw_only=True)
class AnotherRuleset:
    """How another ruleset ranks the same entities.

    Attributes:
        ruleset: its name.
        entities: that both assess in full.
        confirmed: how many of these are confirmed.
        paired: the difference on these; None where it cannot be measured.
        because: why it cannot; empty where it can.
    """

    ruleset: str
    entities: int
    confirmed: int
    paired: Paired | None
    because: str


def beside_another(
    ruleset: str, scores: tuple[Numbers, Numbers], confirmed: Marks, seed: int = 0, resamples: int = RESAMPLES
) -> AnotherRuleset:
    """Compare two scores of the entities that both rulesets assess in full; *ruleset* is the name of the other one."""
    entities, hits = len(confirmed), int(confirmed.sum())
    measurable = 0 < hits < entities
    because = (
        f"it and {ruleset} assess {count_text(entities, 'entity', 'entities')} in full, {hits:,} of them confirmed; "
        "a ranking needs both kinds"
    )
    return AnotherRuleset(
        ruleset=ruleset,
        entities=entities,
        confirmed=hits,
        paired=compare_rankings(*scores, confirmed, seed, resamples) if measurable else None,
        because="" if measurable else because,
    )
