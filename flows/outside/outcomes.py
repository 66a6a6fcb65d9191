"""The outcome of a step that asks the outside: values that came back, or why there are none; from where, and when.

An outcome is kept with its run, in one form of JSON. A run that is made again reads it, and asks nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from fivefold.domain.canonical import canonical_json
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.language.fields import StepOutput, ValueType
from fivefold.risk.language.quantities import exact, quoted_value

Value = str | bool | Decimal
MOST_TEXT_CHARACTERS = 2_000
MOST_REASON_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class AgentReason:
    """Why an agent answers so.

    Attributes:
        text: in its words.
        evidence: the names of the facts, and of the steps before, that it quotes.
    """

    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What each column adds to what a model gave: `base`, all that is added, and `rest` make `total`, exactly.

    Attributes:
        of: the name of the output.
        scale: in which they add up: `log-odds` or `logarithm` of the output; empty for the output itself.
        base: what the model expects of anyone.
        added: of the columns that add or take away most, the most first.
        rest: of all other columns together.
        total: what they add up to.
    """

    of: str
    scale: str
    base: Decimal
    added: tuple[tuple[str, Decimal], ...]
    rest: Decimal
    total: Decimal

    @property
    def words(self) -> str:
        """The same in one line."""
        parts = [f"{self.base} of anyone", *(f"{number:+} by {column}" for column, number in self.added)]
        parts += [f"{self.rest:+} by all others"] if self.rest else []
        scale = f", the {self.scale} of {self.of}" if self.scale else f", {self.of}"
        return f"{', '.join(parts)}: {self.total}{scale}"

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data for canonical JSON."""
        added = [{"column": column, "adds": str(number)} for column, number in self.added]
        numbers = {name: str(getattr(self, name)) for name in ("base", "rest", "total")}
        return {"of": self.of, "scale": self.scale, "added": added, **numbers}


@dataclass(frozen=True, kw_only=True)
class ModelAsked:
    """The version of a model that answered.

    Attributes:
        name: of the model.
        alias: that pointed to the version.
        version: its number.
        digest: the SHA-256 of its files; empty where they were not read.
        contributions: of a model of trees; None where there are none.
        unexplained: why there are none; empty where there are, or nothing came.
    """

    name: str
    alias: str
    version: int
    digest: str = ""
    contributions: Contributions | None = None
    unexplained: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data for canonical JSON."""
        explained = None if self.contributions is None else self.contributions.as_json()
        return {**vars(self), "contributions": explained}

    @property
    def words(self) -> str:
        """Why it gave what it did, in one line; empty where nothing is to be said."""
        if self.contributions is not None:
            return self.contributions.words
        return f"no explanation is available, as {self.unexplained}" if self.unexplained else ""


def read_model_asked(content: Mapping[str, Any]) -> ModelAsked:
    """Read it from its form as JSON; ValueError for anything else."""
    try:
        explained = content.get("contributions")
        contributions = None
        if explained is not None:
            contributions = Contributions(
                of=str(explained["of"]),
                scale=str(explained["scale"]),
                base=Decimal(explained["base"]),
                added=tuple((str(each["column"]), Decimal(each["adds"])) for each in explained["added"]),
                rest=Decimal(explained["rest"]),
                total=Decimal(explained["total"]),
            )
        return ModelAsked(
            name=str(content["name"]),
            alias=str(content["alias"]),
            version=int(content["version"]),
            digest=str(content.get("digest", "")),
            contributions=contributions,
            unexplained=str(content.get("unexplained", "")),
        )
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError("has a model in another form; it has name, alias, version and digest") from error


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What it took to ask: what was measured, and no more.

    Attributes:
        milliseconds: from the question until there was an outcome; None where nobody measured.
        together: of a model, how many runs were asked about at once, in those milliseconds; 1 for all else.
        tries: how often it was asked; 0 where an answer to the same question was there from before.
        tokens: that an agent says it took, of the question and the answer; None where it does not say.
    """

    milliseconds: int | None = None
    together: int = 1
    tries: int = 1
    tokens: int | None = None

    def as_json(self) -> dict[str, int]:
        """Give it as plain data for JSON, without what was not measured."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _read_cost(content: Any) -> Cost | None:
    """Read it from its form as JSON; None where there is none. ValueError for anything else."""
    if content is None:
        return None
    names = set(vars(Cost()))
    fits = isinstance(content, dict) and content.keys() <= names and all(type(each) is int for each in content.values())
    _require(fits, f"the cost of an outcome has whole numbers, of {', '.join(sorted(names))}")
    return Cost(**content)


@dataclass(frozen=True, kw_only=True)
class OutsideOutcome:
    """What came back.

    Attributes:
        values: by the name of the output; numbers and money are exact. What is not there is unknown.
        failed: why nothing came back that can be used, in words; None where something did.
        source: from where.
        at_us: when, microseconds; of what was kept from an earlier question the time of that.
        reasons: of an agent.
        digest: the SHA-256 of the bytes that came back, in hexadecimal; empty where there are none.
        registration: the SHA-256 of how the source was registered when it was asked; empty where none is.
        model: that answered; None where no model was asked, or its alias points to nothing.
        cost: of asking; None where nobody was asked. It is kept beside the outcome, and no part of what a run comes to.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    failed: str | None = None
    source: str
    at_us: int
    reasons: tuple[AgentReason, ...] = ()
    digest: str = ""
    registration: str = ""
    model: ModelAsked | None = None
    cost: Cost | None = field(default=None, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data for canonical JSON: exact numbers are text."""
        values = {name: str(value) if isinstance(value, Decimal) else value for name, value in self.values.items()}
        return {
            "at_us": self.at_us,
            **({} if self.cost is None else {"cost": self.cost.as_json()}),
            "digest": self.digest,
            "failed": self.failed,
            **({} if self.model is None else {"model": self.model.as_json()}),
            "reasons": [{"text": each.text, "evidence": list(each.evidence)} for each in self.reasons],
            **({"registration": self.registration} if self.registration else {}),
            "source": self.source,
            "values": values,
        }

    @property
    def canonical(self) -> str:
        """Its one form as text."""
        return canonical_json(self.as_json())


def failed_outcome(reason: str, source: str, at_us: int) -> OutsideOutcome:
    """Make the outcome of a question that nothing came of."""
    return OutsideOutcome(failed=reason[:MOST_REASON_CHARACTERS], source=source, at_us=at_us)


def read_outcome(content: Mapping[str, Any], columns: Mapping[str, InputColumn]) -> OutsideOutcome:
    """Read an outcome from its form as JSON; *columns* are those of the step's outputs.

    ValueError for what is not an outcome of that step.
    """
    values = content.get("values", {})
    reasons = content.get("reasons", ())
    is_failed = isinstance(content.get("failed"), str | None)
    _require(isinstance(values, dict) and is_failed, "an outcome has values by name, or failed, a reason in words")
    is_placed = isinstance(content.get("source"), str) and isinstance(content.get("at_us"), int)
    _require(is_placed, "an outcome has source, from where it came, and at_us, when")
    try:
        read = {name: _read(value, columns[name]) for name, value in values.items() if value is not None}
    except KeyError as error:
        raise ValueError(f"gives {error.args[0]}, which the step does not; it gives {', '.join(columns)}") from None
    return OutsideOutcome(
        values=read,
        failed=content.get("failed"),
        source=content["source"],
        at_us=content["at_us"],
        reasons=tuple(AgentReason(text=each["text"], evidence=tuple(each["evidence"])) for each in reasons),
        digest=content.get("digest", ""),
        registration=content.get("registration", ""),
        model=read_model_asked(content["model"]) if content.get("model") is not None else None,
        cost=_read_cost(content.get("cost")),
    )


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise ValueError(words)


_NUMBERS = frozenset({ValueType.NUMBER, ValueType.MONEY})


def _read(value: Any, column: InputColumn) -> Any:
    if column.kind in _NUMBERS and isinstance(value, str):
        try:
            return Decimal(value)
        except ArithmeticError:
            raise ValueError(f"has {quoted_value(value)} for a number") from None
    return value


def held_value(value: Any, column: InputColumn, choices: tuple[str, ...] = ()) -> Any:
    """Give a value as its column holds it: money in minor units, a number as the nearest float.

    ValueError says why it is none that the step may give.
    """
    if column.kind in _NUMBERS:
        number = exact(value)
        if column.kind is ValueType.NUMBER:
            return float(number)
        minor = number * column.units
        if minor != minor.to_integral_value():
            raise ValueError(f"is {number}, which is no whole number of the smallest unit of money")
        return int(minor)
    if column.kind is ValueType.FLAG:
        if not isinstance(value, bool):
            raise ValueError(f"is {quoted_value(value)}; it must be true or false")
        return value
    if not isinstance(value, str) or not is_plain_text(value):
        raise ValueError(f"is {quoted_value(value)}; it must be text, without control characters")
    if len(value) > MOST_TEXT_CHARACTERS:
        raise ValueError(f"has {len(value):,} characters; at most {MOST_TEXT_CHARACTERS:,} are taken")
    if choices and value not in choices:
        raise ValueError(f"is {quoted_value(value)}; it must be one of {', '.join(choices)}")
    return value


_ANY_UNITS = 10**8
"""Of money whose currency is not known yet: more decimals than any has."""


def misfit_of(value: Any, output: StepOutput) -> str | None:
    """Say why a value is none that a step may give under a name; None where it is one."""
    try:
        held_value(value, InputColumn("", output.kind, _ANY_UNITS), output.choices)
    except ValueError as error:
        return str(error)
    return None


def is_plain_text(text: str) -> bool:
    r"""Tell whether text can be stored and shown: no control characters but line ends and tabs, no half characters.

    >>> is_plain_text("Größe\n"), is_plain_text("a\x00b"), is_plain_text("\ud800")
    (True, False, False)
    """
    return not any(
        (each < " " and each not in "\n\t\r") or each == "\x7f" or "\ud800" <= each <= "\udfff" for each in text
    )


def fitted(
    outcome: OutsideOutcome, columns: Mapping[str, InputColumn], choices: Mapping[str, tuple[str, ...]]
) -> OutsideOutcome:
    """Give an outcome whose values are what the step declares; it failed where one of them is not.

    Args:
        outcome: what came back.
        columns: of the step's outputs, by name.
        choices: of outputs that can only be some words, those; by name.
    """
    if outcome.failed is not None:
        return replace(outcome, values={}) if outcome.values else outcome
    for name, value in outcome.values.items():
        if name not in columns:
            return replace(outcome, values={}, failed=f"{name} came back, which the step does not give")
        try:
            held_value(value, columns[name], choices.get(name, ()))
        except ValueError as error:
            return replace(outcome, values={}, failed=f"{name} {error}"[:MOST_REASON_CHARACTERS])
    return outcome


def fitted_to(outcome: OutsideOutcome, outputs: Mapping[str, StepOutput]) -> OutsideOutcome:
    """Do the same where the base currency is not known: by what a step declares."""
    columns = {name: InputColumn("", each.kind, _ANY_UNITS) for name, each in outputs.items()}
    return fitted(outcome, columns, {name: each.choices for name, each in outputs.items()})
