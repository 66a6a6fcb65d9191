"""Types of the fields of entities and transactions, for lint to find wrong names and comparisons; country codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Discriminator, Field, StringConstraints, Tag

from fivefold.risk.language.base import ContentHashed, Identifier, LanguageModel, Name
from fivefold.risk.language.purposes import Purpose


class ValueType(StrEnum):
    """The kind of a value in a condition.

    MONEY is kept in whole minor units, MOMENT in microseconds, LEVEL as its number from 1 (lowest). A MARK, such as a
    tag, is present or absent; a FINDING is a number that is above 0 if the pattern was found. `present` tests whether
    a mark or a finding is there, and whether a value of another kind is known.
    """

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    FLAG = "flag"
    MOMENT = "date"
    TEXTS = "list of text"
    MARK = "tag"
    FINDING = "pattern"
    LEVEL = "level"


@dataclass(frozen=True)
class StepOutput:
    """One named output of a step of a flow.

    Attributes:
        kind: the kind of its values.
        choices: every possible text, or the names of the levels, lowest first; empty if any value is possible.
    """

    kind: ValueType
    choices: tuple[str, ...] = ()


class OneOf(LanguageModel):
    """Text that can only be one of these."""

    one_of: Annotated[tuple[str, ...], Field(min_length=1)]


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "word"
    return "list" if isinstance(value, list | tuple) else "one_of"


_WORDS = r"^(text|number|flag|date|country)$"
FieldType = Annotated[
    Annotated[Annotated[str, Field(pattern=_WORDS)], Tag("word")]
    | Annotated[tuple[Annotated[str, Field(pattern=r"^text$")]], Tag("list")]
    | Annotated[OneOf, Tag("one_of")],
    Discriminator(
        _form,
        custom_error_type="field_type",
        custom_error_message="a field's type is text, number, flag, date, country, [text], or {one_of: [a, b]}",
    ),
]
"""text, number, flag (true or false), date, country (ISO 3166 alpha-2), [text], or {one_of: [a, b]}."""

LevelNames = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=40)], ...], Field(min_length=3, max_length=6)
]


class Definition(ContentHashed):
    """A document about one type of entity: a ruleset, a policy, a flow or a group; `word`, its first word, is its kind.

    Further attributes are those of `Ruleset`, `Policy`, `Flow` and `Group`.

    Attributes:
        entity_type: the type of the entities, such as customer.
        fields: the fields of the entity, by name, with their types; the platform knows the fields of its types.
        transaction_fields: the fields of its transactions, likewise.
        case_fields: the fields of its cases, likewise.
        reference: the name of the reference portfolio, a list, in which peers are looked up.
    """

    word: ClassVar[str]
    name: Identifier
    entity_type: Identifier
    purpose: Purpose = "aml"
    fields: dict[Name, FieldType] = Field(default_factory=dict)
    transaction_fields: dict[Name, FieldType] = Field(default_factory=dict)
    case_fields: dict[Name, FieldType] = Field(default_factory=dict)
    reference: Identifier | None = None

    @property
    def named_parts(self) -> dict[str, list[dict[str, str]]]:
        """The names of the parts that messages refer to, by the word above these parts."""
        return {}


_KINDS = {
    "text": ValueType.TEXT,
    "number": ValueType.NUMBER,
    "flag": ValueType.FLAG,
    "date": ValueType.MOMENT,
    "country": ValueType.TEXT,
}


def value_type_of(declared: FieldType) -> ValueType:
    """Return the value type of a declared field type.

    >>> value_type_of("country").value, value_type_of(("text",)).value
    ('text', 'list of text')
    """
    if isinstance(declared, OneOf):
        return ValueType.TEXT
    return _KINDS[declared] if isinstance(declared, str) else ValueType.TEXTS


TRANSACTION_FIELDS: dict[str, FieldType] = {
    "transaction_id": "text",
    "amount": "number",
    "signed_amount": "number",
    "direction": OneOf(one_of=("deposit", "withdrawal")),
    "currency": "text",
    "state": OneOf(one_of=("settled", "pending", "failed")),
    "time": "date",
}
"""The fields of every transaction. `amount` is its size, `signed_amount` has the sign (+ deposit, − withdrawal)."""

MONEY_FIELDS = ("amount", "signed_amount")
"""Fields of a transaction that are money, in whole minor units."""

CASE_FIELDS: dict[str, FieldType] = {"outcome": "text", "time": "date", "closed": "date", "status": "text"}
"""The fields of every case or alert; others can be declared."""


TAG_FIELDS: dict[str, FieldType] = {"tag": "text", "time": "date"}
"""The fields of every tag; `time` is when it was given."""

SCREENING_FIELDS: dict[str, FieldType] = {"screening": "text", "found": "flag", "time": "date"}
"""The fields of every screening; `screening` is what was searched for."""


_ASSIGNED = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS
MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS
RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW
TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

COUNTRIES: Final = (*_ASSIGNED.split(), "XK")
"""Every code that a country field may hold, in alphabetical order except the last."""

_MEANT: Final[Mapping[str, str]] = {"UK": "GB", "EL": "GR"}
"""Codes that the European Union writes differently."""


def described(code: str) -> str:
    """Describe a wrong country code, with the right one if it is known.

    >>> described("UK"), described("ZZ"), described("Norway")
    ('UK (GB in ISO 3166)', 'ZZ (not assigned in ISO 3166)', 'Norway')
    """
    if code in _MEANT:
        return f"{code} ({_MEANT[code]} in ISO 3166)"
    assigned = len(code) != 2 or not (code.isascii() and code.isalpha() and code.isupper())
    return code if assigned else f"{code} (not assigned in ISO 3166)"
