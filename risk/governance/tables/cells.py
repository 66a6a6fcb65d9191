"""A comparison in the cell of a decision table, and back: `>= 10`, `in A, B`, `10..20`, `present`."""

import json
import re
from decimal import Decimal
from typing import Any

from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.text import NUMBER_WRITTEN
from fivefold.risk.compiler.value_types import NUMERIC_TYPES
from fivefold.risk.governance.tables.grid import Value, flow_text, number_text, quoted
from fivefold.risk.language.documents import Document
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import INPUT_OPERATORS
from fivefold.risk.language.quantities import decimal_text

Test = dict[str, Any]
"""The comparisons of one value, by operator, as in a ruleset's file."""

SIGNS = {"not_equals": "!=", "above": ">", "at_least": ">=", "below": "<", "at_most": "<="}
_OPERATORS = {
    **{sign: operator for operator, sign in SIGNS.items()},
    "=": "equals",
    "==": "equals",
    "<>": "not_equals",
    "≠": "not_equals",
    "≥": "at_least",
    "≤": "at_most",
}
_WORDS = {
    "in_list": "in list",
    "not_in_list": "not in list",
    "in": "in",
    "not_in": "not in",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "contains_any": "contains any of",
    "contains": "contains",
    "outside": "outside",
    "fuzzy": "fuzzy",
}
"""Operators that are words in a cell; longer ones first, so that `in list` is not read as `in`."""
_STATES = {"present": "present", "absent": "absent", "is present": "present", "is absent": "absent"}
_KEPT = {"and", "in", "not", "is", "any", "list", "fuzzy", "outside", "starts", "ends", "contains", "present", "absent"}
_KEPT |= {"true", "false", "null", "unknown", "between", "otherwise", "or", "equals", "like"}
"""Words that have a meaning in a cell: a text that contains one of them is quoted."""
_HINTS = {
    "unknown": ": a missing value is absent, and what is given where a case was unknown is the row on_unknown",
    "any": ": a cell that asks nothing is empty",
    "otherwise": ": what is given where no case holds is a row of its own",
    "or": ": of several values there is in A, B",
    "not": ": there are != A, and not in A, B",
}
_BARE = re.compile(r"[^\W\d_][^\W_]*(?:[ -][^\W_]+)*")
_DATE_LIKE = re.compile(r"(?:[A-Za-z]{3,9}[ -]?[0-9]{1,4}|[A-Za-z]?[0-9]+[Ee][0-9]+)")
"""Texts that spreadsheets turn into a date or a power of ten, such as MAR1 and 1E5."""
CURLY = "\u201c\u201d\u201e"
"""The quotes that programs substitute for straight ones while one types."""
_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(?:\.[0-9]{3})+")

MOST_DIGITS_WRITTEN = 40
"""Length of the longest number read: no exact number is longer, including leading and trailing zeros."""


MOST_LETTERS_SHOWN = 60
"""Number of a cell's characters that a message shows."""


def cut_cell(text: str) -> str:
    """Cut the text of a cell to the length that a message shows."""
    return text if len(text) <= MOST_LETTERS_SHOWN else f"{text[:MOST_LETTERS_SHOWN]}..."


def shown_cell(text: str) -> str:
    """Quote the text of a cell, for a message."""
    return repr(cut_cell(text.strip()))


class CellError(ValueError):
    """The content of a cell is not a condition; the message states why, and what would be right."""


def cell_text(test: Test) -> str:
    """Write comparisons, all of which must hold, as a cell.

    >>> cell_text({"at_least": 20000, "below": 30000}), cell_text({"in": ["NO", "x, y"]}), cell_text({"equals": "007"})
    ('>= 20000 and < 30000', 'in NO, "x, y"', '"007"')
    """
    return " and ".join(_clause(operator, value) for operator, value in test.items())


def _clause(operator: str, value: Any) -> str:
    if operator == "is":
        return str(value)
    if operator == "equals":
        return value_text(value) if not isinstance(value, dict) else f"= {flow_text(value)}"
    if operator in SIGNS:
        return f"{SIGNS[operator]} {value_text(value)}"
    if operator in {"between", "outside"}:
        ends = "..".join(map(value_text, value))
        return ends if operator == "between" else f"outside {ends}"
    if operator in {"in", "not_in", "contains_any"}:
        return f"{_WORDS[operator]} {', '.join(map(value_text, value))}"
    return f"{_WORDS[operator]} {value_text(value)}"


def value_text(value: Any) -> str:
    """Write a value that an input is compared with.

    >>> value_text("private banking"), value_text("any"), value_text("2024-01-31"), value_text(True), value_text(0.5)
    ('private banking', '"any"', '2024-01-31', 'true', '0.5')
    """
    if isinstance(value, dict):
        return flow_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return number_text(value)
    is_date = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
    is_bare = _BARE.fullmatch(value) and not _DATE_LIKE.fullmatch(value) and value.isprintable()
    return value if is_date or (is_bare and not _KEPT & set(re.split("[ -]", value.lower()))) else quoted(value)


def read_cell(value: Value, kind: ValueType, *, may_part_thousands: bool = False) -> Test | None:
    """Read a cell; None if it compares nothing.

    Args:
        value: what the cell holds.
        kind: the type of the compared values.
        may_part_thousands: a point may separate thousands, as in a file with semicolons or tabs between columns.

    >>> read_cell("> 10 and <= 20", ValueType.NUMBER)
    {'above': Decimal('10'), 'at_most': Decimal('20')}

    Raises:
        CellError: it cannot be read exactly.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return {"equals": _of_spreadsheet(value, kind)}
    text = value.strip()
    if text == "-":
        as_text = ', or write "-" for a text that is this sign' if kind in {ValueType.TEXT, ValueType.TEXTS} else ""
        raise CellError(f"is -; leave the cell empty to ask nothing{as_text}")
    return _Reader(text, kind, may_part_thousands).test() if text else None


_QUOTES = str.maketrans(dict.fromkeys(CURLY, '"'))


def _of_spreadsheet(value: Any, kind: ValueType) -> Any:
    """Read a value that the spreadsheet stores as a number, a boolean or a date."""
    if isinstance(value, bool):
        if kind in {ValueType.FLAG, ValueType.MARK}:
            return value
        raise CellError(
            f'is {str(value).upper()}, where {_phrase(kind)} is compared; a text stands in quotes, as "true"'
        )
    if isinstance(value, Decimal):
        if kind in NUMERIC_TYPES | {ValueType.LEVEL}:
            return value
        hint = "format the cell as text, and type it again"
        if kind in {ValueType.TEXT, ValueType.TEXTS}:
            hint = f'zeros in front would be lost; format the cell as text, or write it in quotes, as "{value:f}"'
        raise CellError(f"is the number {value:f}, where {_phrase(kind)} is compared: {hint}")
    if kind is ValueType.MOMENT:
        return value.isoformat()
    raise CellError(
        f"is the date {value.isoformat()}, where {_phrase(kind)} is compared: the spreadsheet made a date of what was "
        "typed; format the cell as text, and type it again"
    )


def _phrase(kind: ValueType) -> str:
    return "an amount of money" if kind is ValueType.MONEY else f"a {kind}" if kind is not ValueType.TEXT else "text"


_TOKEN = re.compile(
    r"(?P<blank>\s+)|(?P<sign>>=|<=|!=|<>|==|[><=≥≤≠])|(?P<dots>\.\.)|(?P<comma>,)|(?P<bracket>[\[\]()])"
    rf'|(?P<flow>\{{)|(?P<text>["{CURLY}])'
    rf'|(?P<word>(?:(?!\.\.)[^\s,"{CURLY}{{}}\[\]()<>=!≥≤≠]|(?<=[0-9]),(?=[0-9]))+)|(?P<other>.)'
)


class _Reader:
    """Reads one cell from left to right."""

    def __init__(self, text: str, kind: ValueType, may_part_thousands: bool) -> None:
        self._text, self._kind, self._may_part_thousands = text, kind, may_part_thousands
        tokens = list(_tokens(text))
        self._tokens = [(sort, value) for sort, value, _ in tokens]
        self._spans = [span for _, _, span in tokens]
        self._at = 0

    def test(self) -> Test:
        test: Test = {}
        while True:
            operators = self._clause()
            twice = next((name for name in operators if name in test), None)
            if twice is not None:
                raise CellError(f"says {twice.replace('_', ' ')} twice; join the two under `when`")
            test |= operators
            if self._at == len(self._tokens):
                return test
            if not self._take_word("and"):
                raise self._strange()

    def _peek(self, ahead: int = 0) -> tuple[str, Any]:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ("end", "")

    def _take(self, sort: str, *values: str) -> Any:
        token = self._peek()
        if token[0] == sort and (not values or token[1] in values):
            self._at += 1
            return token[1]
        return None

    def _take_word(self, words: str) -> bool:
        wanted = words.split()
        tokens = [self._peek(ahead) for ahead in range(len(wanted))]
        if all(sort == "word" and each.lower() == word for (sort, each), word in zip(tokens, wanted, strict=True)):
            self._at += len(wanted)
            return True
        return False

    def _strange(self) -> CellError:
        sort, value = self._peek()
        if sort == "comma":
            return CellError(
                f"has a comma: for one of several write in A, B; for one text that holds a comma put it in quotes, "
                f'as "{cut_cell(self._text)}"'
            )
        what = "ends too early" if sort == "end" else f"is not understood from {flow_text(cut_cell(str(value)))} on"
        return CellError(
            f"{what}; write a value, > 10, 10..20, in A, B, not in A, B, in list NAME, present or absent, several of "
            "them with `and` between; any other text in quotes"
        )

    def _clause(self) -> Test:
        for words, state in _STATES.items():
            if self._take_word(words):
                return {"is": state}
        sign = self._take("sign")
        if sign:
            operator = _OPERATORS[sign]
            return {operator: self._value(with_inputs=operator in INPUT_OPERATORS)}
        operator = next((each for each, words in _WORDS.items() if self._take_word(words)), "")
        return {operator: self._of_words(operator)} if operator else self._interval() or self._value_or_range()

    def _of_words(self, operator: str) -> Any:
        """Read the operand of an operator that consists of words."""
        if operator in {"in", "not_in", "contains_any"}:
            return self._values()
        if operator == "outside":
            return self._ends(self._value())
        if operator == "fuzzy":
            how = self._take("flow")
            if how is None:
                raise CellError("says fuzzy without how; write fuzzy {to: TEXT, scorer: token_set, at_least: 90}")
            return how
        return str(self._value(is_text=True))

    def _interval(self) -> Test | None:
        opening = self._take("bracket", "[", "(", "]")
        if not opening:
            return None
        low, high = self._ends(self._value())
        closing = self._take("bracket", "]", ")", "[")
        if not closing:
            raise CellError("has a range whose bracket is not closed; write [10..20], or 10..20")
        if opening == "[" and closing == "]":
            return {"between": [low, high]}
        return {"at_least" if opening == "[" else "above": low, "at_most" if closing == "]" else "below": high}

    def _value_or_range(self) -> Test:
        value = self._value()
        return {"between": self._ends(value)} if self._peek()[0] == "dots" else {"equals": value}

    def _ends(self, low: Any) -> list[Any]:
        if not self._take("dots"):
            raise CellError("has a range without two dots; write 10..20")
        return [low, self._value()]

    def _values(self) -> list[Any]:
        values = [self._value()]
        while self._take("comma"):
            values.append(self._value())
        return values

    def _value(self, *, with_inputs: bool = False, is_text: bool = False) -> Any:
        if self._peek()[0] == "flow" and with_inputs:
            return self._take("flow")
        text = self._take("text")
        if text is not None:
            return text
        first = self._at
        while self._peek()[0] == "word" and not (self._at > first and self._peek()[1].lower() == "and"):
            self._at += 1
        if self._at == first:
            raise self._strange()
        words = self._text[self._spans[first][0] : self._spans[self._at - 1][1]]
        return _as_it_stands(words) if is_text else self._typed(words)

    def _typed(self, text: str) -> Any:
        if self._kind in NUMERIC_TYPES or (self._kind is ValueType.LEVEL and NUMBER_WRITTEN.fullmatch(text)):
            return read_number(text, may_part_thousands=self._may_part_thousands)
        shown = cut_cell(text)
        if self._kind in {ValueType.FLAG, ValueType.MARK}:
            if text.lower() not in {"true", "false"}:
                raise CellError(f"compares a {self._kind} with {shown}; write true or false, present or absent")
            return text.lower() == "true"
        if re.search("[0-9],[0-9]", text):
            raise CellError(
                f'has a comma in {shown}; with a blank behind it there are two texts, in quotes, "{shown}", one'
            )
        keyword = next((word for word in text.split() if word.lower() in _KEPT), None)
        if keyword is not None:
            hint = _HINTS.get(keyword.lower(), "")
            raise CellError(f'has the word {keyword}, which means something here{hint}; as a text write "{shown}"')
        return _as_it_stands(text)


def _as_it_stands(text: str) -> str:
    """Return an unquoted text; raise CellError if anything but single spaces separates its words."""
    if text != " ".join(text.split()):
        shown = quoted(cut_cell(text))
        raise CellError(f"has white space other than single blanks between words; write it in quotes, as {shown}")
    return text


def read_number(text: str, *, may_part_thousands: bool = False) -> Decimal:
    """Read a number exactly; raise CellError if it is not one, or is ambiguous.

    >>> read_number("12.50")
    Decimal('12.50')
    """
    if may_part_thousands and _THOUSANDS.fullmatch(text):
        raise CellError(
            f"is {text} in a file whose columns are parted by semicolons or tabs: it may be {text.replace('.', '')} or "
            f"{decimal_text(Decimal(text))}; write it without signs between thousands and zeros at the end"
        )
    if NUMBER_WRITTEN.fullmatch(text) and len(text) <= MOST_DIGITS_WRITTEN:
        return Decimal(text)
    shown = cut_cell(text)
    if text.endswith("%"):
        raise CellError(f"is the percentage {shown}; write it as a number, 0.25 or 25, as the input counts")
    if re.fullmatch(r"[-+]?[0-9.]+,[0-9]+", text):
        raise CellError(
            f"is {shown}: decimals have a point, as 1.5, and thousands no sign between; lists a blank, 1, 5"
        )
    raise CellError(f"is {shown}, where a number must stand; write one as 10000 or 0.5")


def _tokens(text: str) -> Any:
    at = 0
    while at < len(text):
        match, start = _TOKEN.match(text, at), at
        sort = str(match and match.lastgroup)
        if sort == "text":
            value, at = _json_text(text, at)
        elif sort == "flow":
            value, at = _flow(text, at)
        else:
            assert match is not None  # the last pattern matches any character
            value, at = match[0], match.end()
        if sort != "blank":
            yield sort, value, (start, at)


def _json_text(text: str, at: int) -> tuple[str, int]:
    """Read a text between quotes; if the opening quote is curly, the others may be too."""
    text = text if text[at] == '"' else text.translate(_QUOTES)
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, at)
    except ValueError:
        raise CellError(
            'has a quote that is not closed; a text stands between two, as "A, B", a quote in it as \\"'
        ) from None
    return str(value), end


def _flow(text: str, at: int) -> tuple[Any, int]:
    depth, place = 0, at
    while place < len(text):
        if text[place] == '"':
            place = _json_text(text, place)[1]
            continue
        if text[place] in CURLY:
            raise CellError(f'has the quote {text[place]} within {{...}}; straight ones stand around a text, as "A"')
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
        if not depth:
            return read_flow(text[at:place]), place
    raise CellError("has a bracket { that is not closed")


def read_flow(text: str) -> Any:
    """Read one line of YAML or JSON; raise CellError if it is neither."""
    try:
        return Document(text, "the cell").data
    except InvalidRulesetError as error:
        raise CellError(f"is not YAML: {error.findings[0].problem}") from None
