"""A ruleset: what makes customers of one type risky, and how its points become a level."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    model_validator,
)

from fivefold.risk.language.base import Identifier, LanguageModel, MayBeEmpty, Name, Words
from fivefold.risk.language.calculations import MOST_CALCULATIONS, Calculation
from fivefold.risk.language.expressions import Condition, Input, word_of
from fivefold.risk.language.fields import Definition, LevelNames
from fivefold.risk.language.purposes import Purposes
from fivefold.risk.language.quantities import (
    Duration,
    DurationText,
    MomentText,
    Percent,
    Points,
    Total,
    exact,
    json_number,
    quoted_value,
)


def _level(value: Any) -> str | int:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(  # noqa: TRY004 (pydantic takes a ValueError as a finding)
            "must be a level: its name, or its number from 1 (lowest)"
        )
    return value


LevelName = Annotated[str | int, Field(union_mode="left_to_right"), BeforeValidator(_level)]
"""A level by its name, or by its number from 1 (lowest)."""

Rising = Annotated[tuple[Points, ...], Field(min_length=2, max_length=5)]


class Thresholds(LanguageModel):
    """Totals that begin the levels above the lowest: a total equal to a threshold is in the upper level."""

    thresholds: Rising


class PointsScore(LanguageModel):
    """Points add up over rules; N levels have N − 1 strictly ascending thresholds."""

    points: Thresholds


class Tier(LanguageModel):
    """A named range of totals, both ends included, and the level that it means."""

    title: Words
    min: Points | None = None
    max: Points | None = None
    level: LevelName


class TiersScore(LanguageModel):
    """Named ranges in order: the first that contains the total wins; a total that none contains is unclassified."""

    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]


class UseWeights(LanguageModel):
    """Which column of weights is used when a condition on the entity holds; without one, for all others."""

    when: Condition | None = None
    use: Identifier


class Weighted(LanguageModel):
    """Factors score 1 to 100; the total is the sum of weight times factor score.

    Attributes:
        bands: the totals that begin the levels above the lowest.
        weights: columns of weights in percent, by the rules' ids; each column totals 100.
        weights_by: choices of a column, tried in order: the first whose condition holds decides. If none holds, the
            assessment fails visibly.
    """

    bands: Rising
    weights: Annotated[dict[Identifier, dict[Identifier, Percent]], Field(min_length=1)]
    weights_by: Annotated[tuple[UseWeights, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for column, weights in self.weights.items():
            total = sum(weights.values(), Decimal(0))
            if total != 100:
                raise ValueError(f"the weights of {column} total {total} %; they must total 100 %")
        return self


class WeightedScore(LanguageModel):
    """A weighted sum of factors, cut into levels by the rule of thresholds."""

    weighted: Weighted


Score = PointsScore | TiersScore | WeightedScore


Category = Literal[
    "customer features",
    "service provided",
    "distribution channels",
    "transaction execution",
    "geography",
    "other",
]
"""The FATF's families of risk factors."""


class Outcome(LanguageModel):
    """What a rule gives: points, and perhaps a level below which the entity does not come."""

    points: Points | None = None
    floor: LevelName | None = None


class Case(Outcome):
    """An outcome, and when it is given. The first case of a rule that holds wins."""

    when: Condition
    title: Words | None = None


def _some_cooldown(value: Any) -> Any:
    if isinstance(value, str) and value.split()[:1] in (["0"], ["-0"]):
        raise ValueError(f"{quoted_value(value)} is not a cooldown; leave the word out for none")
    return value


def _whole_days(half_life: Duration) -> Duration:
    if half_life.unit not in {"day", "hour"}:
        raise ValueError(f"{half_life} has no fixed length; write a half-life in days, such as 90 days")
    return half_life


class Decay(LanguageModel):
    """Points halve for every full half-life since the signal: points × ½^floor(elapsed ÷ half-life); floors stay.

    Attributes:
        half_life: the half-life; a day has 24 hours.
        signal: the moment from which points fade: of the latest fact of this aggregate, or a date field; by default of
            the rule's own input, if that is an aggregate or a pattern.
    """

    half_life: Annotated[DurationText, AfterValidator(_whole_days)]
    signal: Input | None = None


Way = Literal["up", "down", "either"]
"""The direction in which a person can change a value."""


class Rule(LanguageModel):
    """One reason for points.

    Attributes:
        id: the name of the rule in breakdowns, tests and weights.
        input: the input that its cases compare, unless they name another one.
        cases: the cases, tried in order: the first that holds decides.
        otherwise: the outcome if no case holds.
        on_unknown: the outcome if no case holds and one is unknown; by default `otherwise`.
        overridable: whether an approved override may go below this rule's floor.
        changeable: the direction in which a person can change the rule's own input; an input for which no rule declares
            one stays as it is.
        disclosable: whether a statement for the person concerned shows the rule; by default it does, unless the rule
            reads what others found, or what `undisclosed` names.
    """

    id: Identifier
    title: Words
    category: Category
    rationale: Words | None = None
    input: Input | None = None
    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=200)]
    otherwise: Outcome = Outcome()
    on_unknown: Outcome | None = None
    decay: Decay | None = None
    overridable: bool = False
    changeable: Way | None = None
    disclosable: bool | None = None


def _exactly(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _exactly(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_exactly(below) for below in value]
    return value if value is None or isinstance(value, str | bool) else exact(value)


def _plainly(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plainly(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_plainly(below) for below in value]
    return json_number(value) if isinstance(value, Decimal) else value


Given = Annotated[dict[str, Any], AfterValidator(_exactly), PlainSerializer(_plainly)]
"""Values by name: text, exact numbers, true, false, nothing, and lists and mappings of these."""


class GivenExample(LanguageModel):
    """An invented entity.

    Attributes:
        name: what the example is about, in plain words.
        as_of: the moment as of which it is evaluated, such as 2025-01-01.
        given: its fields by name; also `transactions`, `cases`, `alerts` (rows), `tags` (words), `screening` (what
            screenings found; everything else that is screened for then counts as screened and clean), `indicators` and
            `value` (numbers by name).
    """

    name: Words
    as_of: MomentText | None = None
    given: Annotated[Given, MayBeEmpty()]


class Example(GivenExample):
    """An invented entity, and the result that is expected of it.

    Attributes:
        given: as in all examples, and `peers`: places among peers, by the rule whose input it is.
        expect: the expected level, total, floor_by, status, and number of the case of a rule, counted from 1.
    """

    expect: "Expectation"


class Expectation(LanguageModel):
    """What an example must come to; what is not written is not compared."""

    level: LevelName | None = None
    total: Total | None = None
    floor_by: Identifier | None = None
    status: Literal["assessed", "failed", "unclassified", "undetermined", "not applicable"] | None = None
    cases: dict[Identifier, Annotated[int, Field(strict=True, ge=1)] | Literal["otherwise", "unknown"]] = Field(
        default_factory=dict
    )


class Coverage(LanguageModel):
    """The least share of rules, and of cases, that examples must reach before a ruleset may be committed."""

    rules: Percent = Decimal(100)
    cases: Percent = Decimal(80)


class Undisclosed(LanguageModel):
    """What no statement for the person concerned may show a trace of: no rule that reads one of these is shown."""

    inputs: tuple[Input, ...] = ()
    lists: tuple[Identifier, ...] = ()


class LinkType(LanguageModel):
    """How links of one type are to be read.

    Attributes:
        kind: `shared` if they lead from an entity to something that it shares with others, such as a household or a
            device, which is not an entity itself; `directed` if they lead from one entity to another, such as an owner.
        complete: whether every link of the type is known, so that an entity without known links has none.
    """

    kind: Literal["shared", "directed"]
    complete: bool = False


MOST_LINK_TYPES = 20

OptionalTable = Literal["cases", "alerts", "tags"]
"""Tables that a ruleset may do without. Screenings are not among them: an unscreened entity is never a clean one."""


def _score_form(value: Any) -> str | None:
    return word_of(value, ("points", "tiers", "weighted"))


class Ruleset(Definition):
    """Everything that decides the level of one type of entity.

    Attributes:
        name: the name of all its versions.
        purpose: what the ruleset is for; for anything but `aml` it may not read `aml` data.
        fields: the fields of the entity, with their types; conditions may name only these.
        transaction_fields: further fields of transactions, beside those that all transactions have.
        case_fields: further fields of cases and alerts, beside those that all have.
        links: the types of links between entities that inputs may follow.
        reference: the name of the reference portfolio, a list, in which peers are looked up.
        calculate: named numbers, calculated from the data of the entity.
        optional_tables: tables that the rules read and that may be absent; an absent one then counts as empty.
        optional_transaction_fields: those of `transaction_fields` that a table may lack; they are unknown then.
        applies_to: a condition: an entity for which it is false has no level by this ruleset. If it is unknown, the
            entity keeps its level, which only triggered floors raise.
        levels: the names of levels, lowest first.
        max_recompute_interval: the longest time that a level holds without being computed again.
        cooldown: the least time at a level before the entity enters a lower one.
        purposes: what the data that it reads were gathered for.
        undisclosed: inputs and lists that keep a rule out of statements for the person concerned.
    """

    word = "ruleset"
    name: Identifier = Field(alias="ruleset")
    links: Annotated[dict[Name, LinkType], Field(default_factory=dict, max_length=MOST_LINK_TYPES)]
    calculate: Annotated[dict[Name, Calculation], Field(default_factory=dict, max_length=MOST_CALCULATIONS)]
    optional_tables: tuple[OptionalTable, ...] = ()
    optional_transaction_fields: tuple[Name, ...] = ()
    applies_to: Condition | None = None
    levels: LevelNames
    score: Annotated[
        Annotated[PointsScore, Tag("points")]
        | Annotated[TiersScore, Tag("tiers")]
        | Annotated[WeightedScore, Tag("weighted")],
        Discriminator(_score_form, custom_error_type="score", custom_error_message="must be points, tiers or weighted"),
    ]
    max_recompute_interval: DurationText
    cooldown: Annotated[DurationText, BeforeValidator(_some_cooldown)] | None = None
    rationale: Words | None = None
    coverage: Coverage = Coverage()
    purposes: Purposes = Purposes()
    undisclosed: Undisclosed = Undisclosed.model_construct()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=1000)]
    examples: tuple[Example, ...] = ()

    @property
    def named_parts(self) -> dict[str, list[dict[str, str]]]:
        """The names of rules and examples."""
        return {
            "rules": [{"id": rule.id} for rule in self.rules],
            "examples": [{"name": example.name} for example in self.examples],
        }

    def level_number(self, level: str | int) -> int:
        """Return a level's number from 1 (lowest); raises KeyError if there is no such level.

        Names are tried before numbers, also names that are numbers, such as "3".
        """
        if level in self.levels:
            return self.levels.index(str(level)) + 1
        if isinstance(level, int) and 1 <= level <= len(self.levels):
            return level
        raise KeyError(level)

    def rule(self, identifier: str) -> Rule:
        """Find a rule by its id; raises KeyError if there is none."""
        for rule in self.rules:
            if rule.id == identifier:
                return rule
        raise KeyError(identifier)


Example.model_rebuild()
