"""What one rule gave one entity, in words and exact numbers."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from json.encoder import encode_basestring as quoted  # what `canonical_json` writes text with
from typing import Any

from fivefold.domain.canonical import canonical_json


@dataclass(frozen=True)
class CaseOutcome:
    """What one case of a rule gives, or otherwise, unknown, failed: the same to every entity that gets it.

    Attributes: as those of `RuleOutcome`.
    """

    rule: str
    title: str
    category: str
    case: int | str
    asked: str
    points: Decimal
    factor: tuple[Decimal, Decimal] | None
    floor: str

    @cached_property
    def reason(self) -> str:
        """Which case it is, in words."""
        return f"Case {self.case}, {self.asked}" if isinstance(self.case, int) else "No case holds"

    @cached_property
    def effect(self) -> str:
        """What it does to the total and the level, in words."""
        floor = f"; at least {self.floor}" if self.floor else ""
        weighed = f" ({self.factor[1]:f} % of {self.factor[0]:f})" if self.factor else ""
        return f"{signed(self.points)} points{weighed}{floor}"

    @cached_property
    def terms(self) -> tuple[str, str]:
        """The rule and its points as the first term of a sum, and as a later one; empty where it gives none."""
        if not self.points:
            return "", ""
        size = f"{self.title} {abs(self.points).normalize():f}"
        first = size if self.points > 0 else f"{self.title} {signed(self.points)}"
        return first, f"{'+' if self.points > 0 else '−'} {size}"

    @cached_property
    def json_parts(self) -> tuple[str, str, str, str]:
        """The canonical JSON around the parts of one entity: its errors, its missing inputs, its values."""
        factor = None if self.factor is None else [str(part) for part in self.factor]
        asked, case, category, title = map(canonical_json, (self.asked, self.case, self.category, self.title))
        return (
            f'{{"asked":{asked},"case":{case},"category":{category},"errors":',
            f',"factor":{canonical_json(factor)},"floor":{quoted(self.floor)},"missing":',
            f',"points":"{self.points}","rule":{quoted(self.rule)},"seen":',
            f',"title":{title}}}',
        )


@dataclass(frozen=True)
class RuleOutcome:
    """What one rule gave.

    Attributes:
        case_outcome: what the case that held gives to everyone.
        seen: what the rule's inputs were, in plain words.
        missing: the inputs that were unknown, where that mattered.
        errors: what could not be read, where the rule failed.
    """

    case_outcome: CaseOutcome
    seen: str
    missing: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.case_outcome.rule

    @property
    def title(self) -> str:
        """The title of the rule."""
        return self.case_outcome.title

    @property
    def category(self) -> str:
        """The family of risk factors."""
        return self.case_outcome.category

    @property
    def case(self) -> int | str:
        """The number of the case that held, from 1; or otherwise, unknown, failed."""
        return self.case_outcome.case

    @property
    def asked(self) -> str:
        """What that case asks, in plain words."""
        return self.case_outcome.asked

    @property
    def points(self) -> Decimal:
        """Exactly what it added to the total: weighted points in a weighted ruleset."""
        return self.case_outcome.points

    @property
    def factor(self) -> tuple[Decimal, Decimal] | None:
        """The factor's own score and its weight in percent; None where points are just added."""
        return self.case_outcome.factor

    @property
    def floor(self) -> str:
        """The name of the level below which the entity does not come; empty for none."""
        return self.case_outcome.floor

    @property
    def sentence(self) -> str:
        """The same in plain words."""
        outcome = self.case_outcome
        if outcome.case == "failed":
            return f"{outcome.title}: failed, because {' and '.join(self.errors)}"
        reason = f"Not known: {', '.join(self.missing)}" if outcome.case == "unknown" else outcome.reason
        if self.missing and outcome.case != "unknown":
            reason += f"; not known: {', '.join(self.missing)}"
        return f"{outcome.title}: {self.seen}. {reason}: {outcome.effect}"

    @cached_property
    def json_text(self) -> str:
        """The canonical JSON of `as_json`: many entities share an outcome, so it is written once."""
        asked, factor, points, title = self.case_outcome.json_parts
        errors = canonical_json(self.errors) if self.errors else "[]"
        missing = canonical_json(self.missing) if self.missing else "[]"
        seen = f'{quoted(self.seen)},"sentence":{quoted(self.sentence)}'
        return f"{asked}{errors}{factor}{missing}{points}{seen}{title}"

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data for JSON: exact numbers as text."""
        return {
            "rule": self.rule,
            "title": self.title,
            "category": self.category,
            "case": self.case,
            "asked": self.asked,
            "seen": self.seen,
            "points": str(self.points),
            "factor": None if self.factor is None else [str(part) for part in self.factor],
            "floor": self.floor,
            "missing": self.missing,
            "errors": self.errors,
            "sentence": self.sentence,
        }


def signed(points: Decimal) -> str:
    """Write points with their sign.

    >>> signed(Decimal("12.50")), signed(Decimal("-5")), signed(Decimal("0.00"))
    ('+12.5', '−5', '0')
    """
    size = f"{abs(points).normalize():f}"
    return size if not points else f"{'+' if points > 0 else '−'}{size}"
