"""Reads unary tests, the cells of DMN (in FEEL) and JDM (in zen): the part of both that rules can express."""

import json
import re
from decimal import Decimal
from enum import StrEnum
from typing import Any

from fivefold.risk.governance.tables.cells import CellError
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import exact

Condition = dict[str, Any]
"""A condition on the column's own value, as plain data in the language of rules."""


class System(StrEnum):
    """The system that a table comes from."""

    JDM = "JDM"
    DMN = "DMN"


MOST_LETTERS = 10_000
"""Largest number of characters in a cell."""

NOT_IN = "has not in otherwise than zen reads it: write not in [1, 2], with one space before in, and one behind it"
"""The message for `not  in`, `not in[` and the like, which zen refuses or silently never finds true."""
_LISTED = "must have values with commas, or null, between the brackets of in [...], and nothing else"

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = "T[0-9]{2}:[0-9]{2}:[0-9]{2}.*"

_COMPARED = {">": "above", ">=": "at_least", "<": "below", "<=": "at_most", "!=": "not_equals"}
_EQUAL = {System.JDM: "==", System.DMN: "="}
_TOKEN = re.compile(
    r"""(?P<blank>\s+)|(?P<text>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<number>-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![\w.]*[\w]))"""
    r"""|(?P<number_before_dots>-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?=\.\.))|(?P<sign>>=|<=|!=|==|[<>=])"""
    r"""|(?P<dots>\.\.)|(?P<comma>,)"""
    r"""|(?P<bracket>[\[\]()])|(?P<at>@)|(?P<not_in>not in(?= ))|(?P<word>[^\W\d]\w*)|(?P<other>.)""",
    re.DOTALL,
)
_ZEN_BLANKS = " \t\n"
"""The only white space that zen accepts between the words of a cell."""


def read_unary(text: str, kind: ValueType, system: System) -> Condition | None:
    """Read a cell; None if it compares nothing.

    >>> read_unary("[1..5)", ValueType.NUMBER, System.DMN)
    {'at_least': Decimal('1'), 'below': Decimal('5')}
    >>> read_unary("'NO', 'DE'", ValueType.TEXT, System.JDM)
    {'in': ['NO', 'DE']}

    Raises:
        CellError: rules cannot express exactly that.
    """
    text = text.strip()
    if not text or (text == "-" and system is System.DMN):
        return None
    if len(text) > MOST_LETTERS:
        raise CellError(
            f"has {len(text):,} characters; at most {MOST_LETTERS:,} can be read: put such values into a named list"
        )
    if kind is ValueType.TEXTS:
        raise CellError("is asked of a list; that means something else in each system, so write it in rules")
    if kind is ValueType.MOMENT and system is System.JDM:
        raise CellError("is asked of a date, which JDM keeps as text; write it in rules")
    return _Reader(text, kind, system).condition()


def denies(condition: Any) -> bool:
    """Check whether a condition, such as a negation, holds in other systems if the value is missing."""
    if isinstance(condition, list):
        return any(map(denies, condition))
    if not isinstance(condition, dict):
        return False
    return bool({"not", "not_in", "not_equals"} & set(condition)) or any(map(denies, condition.values()))


class _Reader:
    """Reads one cell from left to right."""

    def __init__(self, text: str, kind: ValueType, system: System) -> None:
        self._text, self._kind, self._system = text, kind, system
        blanks = _ZEN_BLANKS if system is System.JDM else None
        tokens = [(str(m.lastgroup), m[0]) for m in _TOKEN.finditer(text)]
        self._tokens = [(sort, value) for sort, value in tokens if sort != "blank" or value.strip(blanks)]
        self._at = 0

    def condition(self) -> Condition:
        condition = self._all_denied() if self._system is System.DMN and self._calls("not") else self._joined()
        if self._at < len(self._tokens):
            raise self._strange()
        return condition

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ("end", "")

    def _calls(self, word: str) -> bool:
        return self._peek() == ("word", word) and self._peek(1)[1] == "("

    def _take(self, *values: str) -> str:
        sort, value = self._peek()
        if value in values and sort != "text":
            self._at += 1
            return value
        return ""

    def _strange(self) -> CellError:
        sort, value = self._peek()
        if self._system is System.DMN and self._calls("not"):
            return CellError("has not(...) beside or within other tests; in FEEL it stands around all of a cell")
        if sort == "word" and self._calls(value):
            return CellError(
                f"calls the function {value}, which rules do not have; compute it before, or write it in rules"
            )
        if sort == "word":
            return CellError(
                f"names {value}, which is not a value: texts stand in quotes; other inputs cannot be compared here"
            )
        if sort == "end":
            return CellError("ends too early")
        shown = value if value.strip() else repr(value)
        return CellError(
            f"cannot be read from {shown} on; allowed: values, comparisons, ranges [1..5], lists of these, null, and "
            f"{'not(...)' if self._system is System.DMN else 'in [...], not in [...], and, or'}"
        )

    def _joined(self) -> Condition:
        """Read joined tests from left to right, as zen does: `a or b and c` is `(a or b) and c`."""
        conditions, word = [self._test()], ""
        separators = ("and", "or", ",") if self._system is System.JDM else (",",)
        while separator := self._take(*separators):
            before, word = word, "all" if separator == "and" else "any"
            if before not in {"", word}:
                conditions = [self._together(before, conditions)]
            conditions.append(self._test())
        return self._together(word, conditions)

    def _together(self, word: str, conditions: list[Condition]) -> Condition:
        """Join conditions of which all must hold, or any, in the shortest form that the language has."""
        if len(conditions) == 1:
            return conditions[0]
        if word == "any":
            are_values = all(list(each) == ["equals"] for each in conditions)
            if self._kind in {ValueType.TEXT, ValueType.NUMBER} and are_values:
                return {"in": [each["equals"] for each in conditions]}
            return {"any": conditions}
        words = [word for each in conditions for word in each]
        is_flat = len(set(words)) == len(words) and not {"any", "not", "all", "is"} & set(words)
        return {word: value for each in conditions for word, value in each.items()} if is_flat else {"all": conditions}

    def _all_denied(self) -> Condition:
        """Read `not(...)`, which FEEL allows only around a whole cell."""
        self._at += 2
        inner = self._joined()
        if not self._take(")"):
            raise self._strange()
        return _denied(inner)

    def _test(self) -> Condition:
        if self._system is System.JDM and self._peek() in {("word", "in"), ("not_in", "not in")}:
            return self._membership()
        if self._system is System.JDM and [self._peek(ahead)[1] for ahead in (0, 1)] == ["not", "in"]:
            raise CellError(NOT_IN)
        sign = self._take(*_COMPARED, "=", "==")
        if sign:
            return self._comparison(sign)
        if self._peek()[0] == "bracket":
            return self._interval()
        return self._equal(self._value())

    def _comparison(self, sign: str) -> Condition:
        if sign in {"=", "=="} and sign != _EQUAL[self._system]:
            raise CellError(f"has {sign}, which {self._system} does not know as a comparison; a bare value is compared")
        value = self._value()
        if sign == "!=" and value is None:
            return {"is": "present"}
        if sign in _COMPARED and value is None:
            raise CellError(f"has {sign} null, which never holds")
        return {_COMPARED[sign]: value} if sign in _COMPARED else self._equal(value)

    @staticmethod
    def _equal(value: Any) -> Condition:
        return {"is": "absent"} if value is None else {"equals": value}

    def _membership(self) -> Condition:
        """Read a range or a list; a list of zen contains only values and null."""
        is_denied = self._take("in", "not in") == "not in"
        if self._peek(2)[0] == "dots":
            inner = self._interval()
        else:
            if not self._take("["):
                raise self._strange()
            values = [self._listed()]
            while self._take(","):
                values.append(self._listed())
            if not self._take("]"):
                raise CellError(_LISTED)
            inner = self._together("any", values)
        return _denied(inner) if is_denied else inner

    def _listed(self) -> Condition:
        sort, value = self._peek()
        if sort in {"sign", "bracket", "not_in"} or (sort, value) == ("word", "in"):
            raise CellError(_LISTED)
        return self._equal(self._value())

    def _interval(self) -> Condition:
        opening = self._peek()[1]
        if opening == "]" and self._system is System.JDM:
            raise CellError("has the range ]a..b[, which zen takes for what is outside; write (a..b), or < a, > b")
        if not self._take("[", "(", "]"):
            raise self._strange()
        low = self._value()
        if not self._take(".."):
            raise self._strange()
        high = self._value()
        closing = self._take("]", ")", "[")
        if not closing or (closing == "[" and self._system is System.JDM):
            raise self._strange()
        if None in {low, high} or isinstance(low, bool):
            raise CellError("has a range whose ends are not numbers or dates")
        if opening == "[" and closing == "]":
            return {"between": [low, high]}
        return {"at_least" if opening == "[" else "above": low, "at_most" if closing == "]" else "below": high}

    def _value(self) -> Any:
        sort, text = self._peek()
        if sort == "at" and self._system is System.DMN:
            self._at += 1
            return self._moment(f"{_DATE}({_TIME})?", "@")
        if text in {"date", "date and time"} or (text == "date" and self._peek(1)[1] == "and"):
            return self._date()
        if sort == "text":
            if self._kind is ValueType.MOMENT:
                raise CellError(f'compares a date with the text {text}; in FEEL a date is date("2024-07-01")')
            return self._literal_text()
        if sort == "word" and text in {"true", "false", "null"} and self._peek(1)[1] != "(":
            self._at += 1
            return {"true": True, "false": False}.get(text)
        if sort in {"number", "number_before_dots"} and not (self._system is System.JDM and text.lstrip("-")[0] == "."):
            self._at += 1
            return read_number(text)
        raise self._strange()

    def _date(self) -> str:
        words = ("date", "and", "time", "(") if self._peek(1)[1] == "and" else ("date", "(")
        if self._system is System.JDM or [self._peek(ahead)[1] for ahead in range(len(words))] != list(words):
            raise self._strange()
        self._at += len(words)
        value = self._moment(_DATE if len(words) == 2 else f"{_DATE}({_TIME})?", " ".join(words[:-1]))
        if not self._take(")"):
            raise self._strange()
        return value

    def _moment(self, form: str, what: str) -> str:
        if self._kind is not ValueType.MOMENT:
            raise CellError(f"compares a {self._kind} with a date")
        text = self._literal_text()
        if re.fullmatch(form, text) is None:
            raise CellError(f'has {what} of "{text}", which FEEL does not have; a date is date("2024-07-01")')
        return text

    def _literal_text(self) -> str:
        sort, text = self._peek()
        if sort != "text" or (text.startswith("'") and self._system is System.DMN):
            raise self._strange()
        if "\\" in text and self._system is System.JDM:
            raise CellError(f"has the text {text} with a backslash, which zen keeps as it is; write it in rules")
        self._at += 1
        try:
            content = text[1:-1] if self._system is System.JDM else json.loads(text)
        except ValueError:
            raise CellError(f"has the text {text}, which is not written as FEEL writes texts") from None
        if not str(content).strip():
            raise CellError(
                "compares with an empty text, which is a missing value here; write null, or write it in rules"
            )
        return str(content)


def _denied(inner: Condition) -> Condition:
    word = next(iter(inner)) if len(inner) == 1 else ""
    if word == "is":
        return {"is": "absent" if inner["is"] == "present" else "present"}
    opposite = {"equals": "not_equals", "in": "not_in"}.get(word)
    return {opposite: inner[word]} if opposite else {"not": inner}


def read_number(text: str) -> Decimal:
    """Read a plain number of a cell or an expression; raise CellError if rules cannot compare it: see `exact`."""
    number = Decimal(text)
    try:
        exact(number)
    except ValueError as error:
        raise CellError(f"is not read: {error}") from None
    return number
