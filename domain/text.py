"""Text for people: counts and shares, control characters made visible, suggestions for a misspelt word."""

import csv
import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from html import escape
from itertools import islice
from math import isclose
from textwrap import shorten
from typing import Any, Final, Literal

_CUTOFF = 0.75
MOST_NAMES: Final = 500
"""Among more names `perhaps` suggests none: comparing a word with each takes milliseconds, and a text may have many."""
MISSPELT: Final = 1.0
"""A cutoff of `nearest` that finds only names that differ in case, blanks and signs, or in one letter."""
CONTROL: Final = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
"""A character class for regular expressions: C0, delete, C1, line and paragraph separators, and invisible characters
(bidirectional marks, soft hyphens, spaces without a width, fillers of Hangul, the blank of Braille), which make a name
look like another one that it does not equal. It leaves out the joiners U+200C and U+200D and the selectors of variants,
which words of some scripts and emoji need."""
UNFIT: Final = rf"[{CONTROL}]|^\s|\s$|^\.\.?$"
"""A pattern for the names that `wrong_in_name` refuses, to check many at once."""
_CONTROL = re.compile(f"[{CONTROL}]")
_STEERING = re.compile(f"(?![\t\n])[{CONTROL}]")
_UNSEEN = re.compile(f"[{CONTROL}](?<![\t\n\r])")
FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of texts that spreadsheets run as formulas when they open a CSV, full-width signs and ends of lines
included (OWASP, CSV injection)."""
DELIMITERS: Final = (",", ";", "\t", "|")
_LONGEST_SHOWN: Final = 40
NUMBER_WRITTEN: Final = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
"""A finite number as written in cells of decision tables and rates; Python's own parser also accepts 1_000 and nan."""


def cut_text(text: str) -> str:
    """Cut a text to 40 characters, for an error message."""
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "..."


def one_line(text: str, most: int = 500) -> str:
    r"""Write a library's message in one line of at most *most* characters, without a terminal's colours and arrows.

    >>> one_line("Generic error\n  \x1b[31m↳\x1b[0m Error performing GET\n   \x1b[31m↳\x1b[0m 501 Not Implemented\n")
    'Generic error: Error performing GET: 501 Not Implemented'
    """
    return shorten(re.sub(r"\s*↳", ":", re.sub(r"\x1b\[[\d;]*m", "", text)), most, placeholder=" …")


def misspelt_names(names: Collection[str], optional: Collection[str], regular: Collection[str] = ()) -> dict[str, str]:
    """Find names that are probably misspelt *optional* names; *regular* names are never taken for misspelt.

    Returns:
        By absent optional name, in the order of these, the name that is probably meant for it.

    >>> misspelt_names(["tag", "Until", "note"], ("from", "until"), ("tag",))
    {'until': 'Until'}
    """
    others = [name for name in names if name not in optional and name not in regular]
    near = {absent: nearest(absent, others, MISSPELT) for absent in optional if others and absent not in names}
    return {absent: name for absent, name in near.items() if name is not None}


def nearest(word: str, names: Iterable[str], cutoff: float = _CUTOFF) -> str | None:
    """Find the name that differs only in case, blanks and signs, or in one letter, or else the most similar one.

    None if no name is near; *cutoff* is the required similarity, from 0 to 1.

    >>> names = ["user_id", "transaction_date"]
    >>> nearest("Transaction Date", names), nearest("user_idd", names), nearest("amount", names)
    ('transaction_date', 'user_id', None)
    """
    letters = {_letters(name): name for name in reversed([str(name) for name in names])}
    word_letters = _letters(word)
    if word_letters in letters:
        return letters[word_letters]
    one_away = [other for other in reversed(letters) if len(other) > 1 and _is_one_away(word_letters, other)]
    near = one_away or get_close_matches(word_letters, letters, n=1, cutoff=cutoff)
    return letters[near[0]] if near else None


def perhaps(word: object, names: Iterable[str], cutoff: float = _CUTOFF, *, most: int = MOST_NAMES) -> str:
    """Suggest the nearest name, as the end of a sentence: `; perhaps above was meant`, or an empty text.

    Among more than *most* names nothing is suggested.

    >>> perhaps("abvoe", ["above", "below"]), perhaps("im", ["in", "not_in"]), perhaps("xyz", ["above"])
    ('; perhaps above was meant', '; perhaps in was meant', '')
    """
    some = list(islice(names, most + 1))
    near = nearest(word, some, cutoff) if isinstance(word, str) and word and len(some) <= most else None
    return f"; perhaps {near} was meant" if near is not None and near != word else ""


def unknown_name(name: object, kind: str, names: Collection[str]) -> str:
    """Write that a name is unknown at its place in a file; suggest the nearest of *names*, and list them.

    >>> unknown_name("abvoe", "limit", ["above", "below"])
    'is not a limit here; perhaps above was meant; there are above, below'
    """
    return f"is not a {kind} here{perhaps(name, names)}; there are {', '.join(names)}"


def _is_one_away(word: str, other: str) -> bool:
    """Return whether the words differ by one letter: changed, inserted, missing, or swapped with the next."""
    same = next((place for place, pair in enumerate(zip(word, other, strict=False)) if pair[0] != pair[1]), None)
    if same is None:
        return abs(len(word) - len(other)) <= 1
    rest, other_rest = word[same:], other[same:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == other_rest[1:] or rest[1:] == other_rest or rest == other_rest[1:] or swapped == other_rest


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def control_in(name: str) -> str:
    r"""Return the first control character of a name as text; empty if it has none.

    >>> control_in("a\nforged"), control_in("M\u00fcller")
    ('U+000A', '')
    """
    match = _CONTROL.search(name)
    return f"U+{ord(match[0]):04X}" if match else ""


def hidden_in(text: str) -> str:
    r"""Describe what makes a text look like another one that it does not equal; empty if nothing does.

    >>> hidden_in("KP "), hidden_in("KP\u200b"), hidden_in("KP")
    ('white space around it', 'the control character U+200B', '')
    """
    if character := control_in(text):
        return f"the control character {character}"
    return "white space around it" if text != text.strip() else ""


def wrong_in_name(name: str) -> str:
    r"""Describe why a new name would be mistaken for another one, or could not be reached; empty if it is fine.

    Browsers remove `.` and `..` from an address.

    >>> wrong_in_name("a\u00ad"), wrong_in_name(" a"), wrong_in_name("..")
    ('with the control character U+00AD', 'with white space around it', 'which an address cannot hold')
    >>> wrong_in_name("M\u00fcller & Co.")
    ''
    """
    if hidden := hidden_in(name):
        return f"with {hidden}"
    return "which an address cannot hold" if name in {".", ".."} else ""


def is_unicode(text: str) -> bool:
    """Return whether a text has no lone surrogate, which JSON can write but UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def visible(text: str) -> str:
    r"""Escape control characters other than tabs and line ends, which a text may have.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _STEERING.sub(_escape, text)


def unseen_numbered(text: str) -> str:
    r"""Write control characters other than tabs and line ends as their numbers in Unicode, in brackets.

    For pages and PDFs, where they are invisible, and some reverse the text after them.

    >>> unseen_numbered("Anna \u202eevil\u202c")
    'Anna [U+202E]evil[U+202C]'
    """
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def visible_line(text: str) -> str:
    r"""Escape all control characters, tabs and line ends included: the text stays on its line.

    >>> visible_line("a\nfivefold: all is well")
    'a\\nfivefold: all is well'
    """
    return _CONTROL.sub(_escape, text)


def json_in_sight(data: Any) -> str:
    r"""Write plain data as JSON in one line of visible characters; the others are written as their numbers.

    >>> print(json_in_sight("Zoë\u2028"))
    "Zoë\u2028"
    """
    return _CONTROL.sub(lambda sign: json.dumps(sign[0])[1:-1], json.dumps(data, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def delimiter_of(header: str) -> str:
    """Return the separator that gives a header line the most columns; a comma if none gives several.

    >>> delimiter_of("currency;date;rate"), delimiter_of("rate")
    (';', ',')
    """
    return max(DELIMITERS, key=lambda sign: len(next(csv.reader([header], delimiter=sign), [])))


def percent(share: float, decimals: int = 1, beside: Sequence[float] = ()) -> str:
    """Write a share between 0 and 1 as a percentage; a share near 0 or 1 is never written as exactly 0 % or 100 %.

    It has more decimals if a different one of the shares *beside* it would read the same.

    >>> percent(0.25), percent(0.95, 0), percent(0.0), percent(0.00001), percent(0.9999999)
    ('25.0 %', '95 %', '0.0 %', '<0.1 %', '>99.9 %')
    >>> percent(0.7003, beside=(0.6, 0.7)), percent(0.7, beside=(0.6, 0.7)), percent(1 - 0.8, beside=(0.2,))
    ('70.03 %', '70.0 %', '20.0 %')
    """
    decimals = decimals_apart(100 * share, [100 * bound for bound in beside], decimals)
    text, step = f"{100 * share:,.{decimals}f}", 10.0**-decimals
    if text.lstrip("-") == f"{0:.{decimals}f}":
        if share == 0:
            return f"{0:.{decimals}f} %"
        return f"<{step:.{decimals}f} %" if share > 0 else f">-{step:.{decimals}f} %"
    if share < 1 and text == f"{100:.{decimals}f}":
        return f">{100 - step:.{decimals}f} %"
    return f"{text} %"


def confidence_text(share: float) -> str:
    """Write a confidence with up to four digits, at most as 99.99 %, so that none reads as certain.

    >>> confidence_text(0.95), confidence_text(1 - 0.05 / 6), confidence_text(1 - 0.05 / 9_900)
    ('95 %', '99.17 %', '99.99 %')
    """
    return f"{min(100 * share, 99.99):.4g} %"


def apart_from(number: float, bound: float | Sequence[float], decimals: int, sign: Literal["", "+"] = "") -> str:
    """Write a number with *decimals* decimals, or more if a different *bound*, or one of several, would read the same.

    A *sign* of "+" is written before numbers above zero too.

    >>> apart_from(1.153, 1.15, 2), apart_from(1.2, 1.15, 2), apart_from(1.15, 1.15, 2)
    ('1.153', '1.20', '1.15')
    >>> apart_from(0.6497, (0.65, 0.6), 2), apart_from(0.5996, (0.65, 0.6), 3)
    ('0.6497', '0.5996')
    >>> apart_from(-0.0001, 0.5, 2), apart_from(-0.0001, 0, 2), apart_from(0.25, 0, 2, "+")
    ('0.00', '-0.0001', '+0.25')
    """
    bounds = [bound] if isinstance(bound, int | float) else bound
    return f"{number:{sign}z.{decimals_apart(number, bounds, decimals)}f}"


def figure_text(figure: float | None, limit: float | Sequence[float]) -> str:
    """Write a figure beside its limits: a count as it is, a share or an index to three decimals, None as a dash.

    >>> figure_text(1, 1), figure_text(0.6497, 0.65), figure_text(None, 0.65)
    ('1', '0.6497', '–')
    """
    if figure is None:
        return "–"
    return f"{figure:,}" if isinstance(figure, int) else apart_from(figure, limit, 3)


def is_same_figure(one: float, other: float) -> bool:
    """Return whether two figures are equal but for rounding, as if one number was computed in two ways.

    >>> is_same_figure(1 - 0.8, 0.2), is_same_figure(0.2, 0.20001)
    (True, False)
    """
    return isclose(one, other, rel_tol=1e-12)


def decimals_apart(number: float, bounds: Iterable[float], decimals: int) -> int:
    """Return how many decimals distinguish a number from every different bound: *decimals*, or up to six more.

    If even six more do not, *decimals*.

    >>> decimals_apart(0.0004, [0], 3), decimals_apart(1e-17, [0], 3)
    (4, 3)
    """
    others = [bound for bound in bounds if not is_same_figure(bound, number)]
    for enough in range(decimals, decimals + 7):
        if all(f"{number:z.{enough}f}" != f"{bound:z.{enough}f}" for bound in others):
            return enough
    return decimals


def whole_percent(share: float) -> str:
    """Write a share of a setting as a percentage, with every digit that it was given.

    >>> whole_percent(0.15), whole_percent(0.025)
    ('15 %', '2.5 %')
    """
    return f"{100 * share:.10g} %"


def count_text(count: int, thing: str, things: str = "") -> str:
    """Write a count with its noun; *things* is an irregular plural.

    >>> count_text(1, "row"), count_text(2_000, "row"), count_text(0, "country", "countries")
    ('1 row', '2,000 rows', '0 countries')
    """
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def columns_text(names: Iterable[str]) -> str:
    """Write which columns a table has, as the end of a sentence; a table may have none.

    >>> columns_text(["date", "amount"]), columns_text([])
    ('it has date, amount', 'it has no columns')
    """
    return f"it has {', '.join(names) or 'no columns'}"


def why_unreadable(error: Exception) -> str:
    """Describe why JSON or YAML cannot be read, in the words of the system or the parser, except for Python's limits.

    >>> why_unreadable(ValueError("Exceeds the limit (4300 digits) for integer string conversion"))
    'it has a number of more than 4300 digits'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if "integer string conversion" in str(error):
        return f"it has a number of more than {sys.int_info.default_max_str_digits} digits"
    return str(error)


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table for a notebook; all cells are escaped.

    >>> html_table("Why", ["rule"], [["<b>"]])
    '<table><caption>Why</caption><thead><tr><th>rule</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    caption = escape(caption)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
