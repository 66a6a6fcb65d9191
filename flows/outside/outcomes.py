"""The outcome of a step that asks the outside: the values that came back, or why none did; the source, and the time.

An outcome is stored with its run, in one form of JSON. A repeated run reads it, and asks nothing again.
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
    """A reason for an agent's answer.

    Attributes:
        text: the reason, in the agent's words.
        evidence: the names of the facts and earlier steps that it quotes.
    """

    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What each column adds to a model's output: `base`, `added` and `rest` add up to `total`, exactly.

    Attributes:
        of: the name of the output.
        scale: the scale of the sum: `log-odds` or `logarithm` of the output; empty for the output itself.
        base: the output that the model expects for anyone.
        added: the columns that add or subtract most, with their amounts, the largest first.
        rest: the sum of all other columns.
        total: the sum.
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
        """Return it as plain data for canonical JSON."""
        added = [{"column": column, "adds": str(number)} for column, number in self.added]
        numbers = {name: str(getattr(self, name)) for name in ("base", "rest", "total")}
        return {"of": self.of, "scale": self.scale, "added": added, **numbers}


@dataclass(frozen=True, kw_only=True)
class ModelAsked:
    """The version of a model that answered.

    Attributes:
        name: the name of the model.
        alias: the alias that pointed to the version.
        version: the number of the version.
        digest: the SHA-256 of its files; empty if they were not read.
        contributions: the contributions in a model of trees; None if there are none.
        unexplained: why there are no contributions; empty if there are some, or no outcome came.
    """

    name: str
    alias: str
    version: int
    digest: str = ""
    contributions: Contributions | None = None
    unexplained: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data for canonical JSON."""
        explained = None if self.contributions is None else self.contributions.as_json()
        return {**vars(self), "contributions": explained}

    @property
    def words(self) -> str:
        """The explanation, or why there is none, in one line; empty if there is neither."""
        if self.contributions is not None:
            return self.contributions.words
        return f"no explanation is available, as {self.unexplained}" if self.unexplained else ""


def read_model_asked(content: Mapping[str, Any]) -> ModelAsked:
    """Read a `ModelAsked` from its JSON form; ValueError for anything else."""
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
    """The measured cost of asking.

    Attributes:
        milliseconds: the time from the question to the outcome; None if it was not measured.
        together: for a model, the number of runs answered at once, in those milliseconds; 1 for all else.
        tries: how often the question was asked; 0 if an earlier answer to the same question was used.
        tokens: the tokens of question and answer that an agent reports; None if it reports none.
    """

    milliseconds: int | None = None
    together: int = 1
    tries: int = 1
    tokens: int | None = None

    def as_json(self) -> dict[str, int]:
        """Return it as plain data for JSON, without what was not measured."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _read_cost(content: Any) -> Cost | None:
    """Read a cost from its JSON form; None stays None. ValueError for anything else."""
    if content is None:
        return None
    names = set(vars(Cost()))
    fits = isinstance(content, dict) and content.keys() <= names and all(type(each) is int for each in content.values())
    _require(fits, f"the cost of an outcome has whole numbers, of {', '.join(sorted(names))}")
    return Cost(**content)


@dataclass(frozen=True, kw_only=True)
class OutsideOutcome:
    """What came back from outside.

    Attributes:
        values: the values by output; numbers and money are exact. A missing output is unknown.
        failed: why nothing usable came back, in words; None if something did.
        source: the source of the outcome.
        at_us: when it came (microseconds); a kept answer has the time at which it first came.
        reasons: the reasons of an agent.
        digest: the SHA-256 of the bytes that came back, in hexadecimal; empty if there are none.
        registration: the SHA-256 of the source's registration when it was asked; empty if it has none.
        model: the model that answered; None if no model was asked, or its alias points to nothing.
        cost: the cost of asking; None if nothing was asked. It does not change how a run ends.
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
        """Return it as plain data for canonical JSON: exact numbers are text."""
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
        """The canonical JSON of the outcome."""
        return canonical_json(self.as_json())


def failed_outcome(reason: str, source: str, at_us: int) -> OutsideOutcome:
    """Return the outcome of a question without a usable answer."""
    return OutsideOutcome(failed=reason[:MOST_REASON_CHARACTERS], source=source, at_us=at_us)


def read_outcome(content: Mapping[str, Any], columns: Mapping[str, InputColumn]) -> OutsideOutcome:
    """Read an outcome from its JSON form; *columns* are the columns of the step's outputs.

    ValueError if it is not an outcome of that step.
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
    """Return a value in the form of its column: money in minor units, a number as the nearest float.

    ValueError says why the step may not give it.
    """
    if column.kind in _NUMBERS:
        number = exact(value)
        if column.kind is ValueType.NUMBER:
            return float(number)
        minor = number * column.units
        if minor != minor.to_integral_value():
            raise ValueError(f"is {number}, which is not a whole number of the smallest unit of money")
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
"""The minor units of money whose currency is not known yet: more decimals than any currency has."""


def misfit_of(value: Any, output: StepOutput) -> str | None:
    """Return why a step may not give a value as an output; None if it may."""
    try:
        held_value(value, InputColumn("", output.kind, _ANY_UNITS), output.choices)
    except ValueError as error:
        return str(error)
    return None


def is_plain_text(text: str) -> bool:
    r"""Check whether text can be stored and shown: no control characters but line ends and tabs, no surrogates.

    >>> is_plain_text("Größe\n"), is_plain_text("a\x00b"), is_plain_text("\ud800")
    (True, False, False)
    """
    return not any(
        (each < " " and each not in "\n\t\r") or each == "\x7f" or "\ud800" <= each <= "\udfff" for each in text
    )


def fitted(
    outcome: OutsideOutcome, columns: Mapping[str, InputColumn], choices: Mapping[str, tuple[str, ...]]
) -> OutsideOutcome:
    """Return an outcome whose values fit what the step declares; a failed one if a value does not.

    Args:
        outcome: what came back.
        columns: the columns of the step's outputs, by name.
        choices: the texts that an output is limited to, by name.
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
    """Do the same as `fitted` by a step's declared outputs, if the base currency is not known."""
    columns = {name: InputColumn("", each.kind, _ANY_UNITS) for name, each in outputs.items()}
    return fitted(outcome, columns, {name: each.choices for name, each in outputs.items()})
