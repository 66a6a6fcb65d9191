"""What a policy reads beside what rulesets read: the entity's level and value, and the pending transaction."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Tag

from fivefold.risk.language.base import LanguageModel, Name
from fivefold.risk.language.inputs import NUMERIC_WORDS, PLAIN_INPUTS, Currency, Ratio, word_of

STATUSES = ("assessed", "failed", "unclassified", "undetermined", "not applicable", "no ruleset")
"""What can have become of an entity's latest assessment."""

SOURCES_OF_LEVELS = ("rules", "override", "decay", "expiry")
"""What can have made a level what it is."""


class LevelInput(LanguageModel):
    """Where the entity stands; unknown where it was never assessed.

    Attributes:
        level: `in_force`, which an override may have set, or `rules`, what the rules say beneath it: unknown where
            there is none; `status` of the latest assessment; `source`, what made the level what it is; `age_days`
            since it was computed, with fractions.
    """

    level: Literal["in_force", "rules", "status", "source", "age_days"]


class TransactionInput(LanguageModel):
    """A field of the pending transaction.

    Attributes:
        transaction: the field.
        in_currency: an amount as it is written, of a transaction in that currency, and unknown of all others;
            otherwise it is in the base currency.
    """

    transaction: Name
    in_currency: Currency | None = None


class PolicyRatio(Ratio):
    """The first number over the second; unknown where the second is 0 or one of them unknown."""

    ratio: tuple["PolicyNumber", "PolicyNumber"]


POLICY_INPUTS: dict[str, type[LanguageModel]] = {
    **PLAIN_INPUTS,
    "ratio": PolicyRatio,
    "level": LevelInput,
    "transaction": TransactionInput,
}
"""The word that names each input of a policy, and its form."""

_NUMERIC = (*NUMERIC_WORDS, "level", "transaction")
if TYPE_CHECKING:
    PolicyNumber: TypeAlias = Any
else:
    PolicyNumber = Annotated[
        reduce(or_, [Annotated[POLICY_INPUTS[word], Tag(word)] for word in _NUMERIC]),
        Discriminator(
            lambda value: word_of(value, _NUMERIC),
            custom_error_type="input",
            custom_error_message=f"is no number; it must have one of the words {', '.join(_NUMERIC)}",
        ),
    ]
"""An input that can be a number."""
