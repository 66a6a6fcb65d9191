"""Numbers and names as people read them, in pictures and in the terminal alike."""

from math import isfinite
from textwrap import wrap
from unicodedata import east_asian_width

from fivefold.domain.breakdown import Contribution
from fivefold.domain.text import decimals_apart

MINUS = "\N{MINUS SIGN}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
PLAIN_UP_TO = 1e12
"""Above this a number is written with an exponent: its digits would only fill the line."""


def plain(number: float) -> str:
    """Write a number with as many decimals as its size deserves; zero has no sign.

    >>> [plain(number) for number in (12340.4, 120.0, 3.14159, 0.03456, -2.5, -0.0)]
    ['12,340', '120', '3.14', '0.0346', '-2.50', '0']
    """
    size = abs(number)
    if size >= PLAIN_UP_TO:
        return f"{number:.3g}"
    if size >= 1000 or number == round(number):
        return f"{number:z,.0f}"
    return f"{number:.2f}" if size >= 1 else f"{number:.3g}"


def signed_points(points: float, decimals: int = 2) -> str:
    """Write points with their sign, and with more decimals where they would read as nothing; zero has no sign.

    >>> signed_points(0.456), signed_points(-12.0, decimals=0), signed_points(-0.001), signed_points(1e-17)
    ('+0.46', '-12', '-0.001', '0.00')
    """
    text = f"{points:+,.{decimals_apart(points, [0], decimals)}f}"
    return text if any(digit in text for digit in "123456789") else f"{0:.{decimals}f}"


def value_text(contribution: Contribution) -> str:
    """Write the value of one input, with its unit.

    >>> value_text(Contribution("gap_mean_90d", "rhythm", 3.5, "days", -0.1, "Days between deposits"))
    '3.50 days'
    """
    if contribution.seen:
        return one_line(contribution.seen)
    value = contribution.value
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "undefined"
    text = value if isinstance(value, str) else plain(value)
    return one_line(f"{text} {contribution.unit}")


def typeset(number: str) -> str:
    """Write a number with the minus sign of print, for pages and pictures; text keeps the hyphen, which is searched.

    >>> typeset("-0.44 EUR") == "\N{MINUS SIGN}0.44 EUR", typeset("-ish")
    (True, '-ish')
    """
    return MINUS + number[1:] if number.startswith("-") and number[1:2].isdigit() else number


def one_line(text: str) -> str:
    r"""Bring text on one line and drop what cannot be printed: a name may come from the outside.

    Terminal control codes would otherwise act on the reader's terminal, and break an SVG file.

    >>> one_line("two\n lines \x1b[31m")
    'two lines [31m'
    """
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def cut_end(text: str, width_columns: int) -> str:
    """Shorten text that is longer than *width_columns* at its end: a number that it begins with stays whole.

    >>> cut_end("123,456,789 EUR per day", 18)
    '123,456,789 EUR p…'
    """
    return text if len(text) <= width_columns else text[: width_columns - 1].rstrip() + ELLIPSIS


def wrapped_lines(text: str, width_columns: int, most: int) -> list[str]:
    """Break text at its words into at most *most* lines; what does not fit in them ends in an ellipsis.

    >>> wrapped_lines("Share of transactions that failed", 20, 2)
    ['Share of', 'transactions that…']
    >>> wrapped_lines("Last balance", 20, 2)
    ['Last balance']
    """
    return wrap(text, max(width_columns, 2), max_lines=most, placeholder=ELLIPSIS) or [""]


def is_wide(sign: str) -> bool:
    """Tell whether a letter is one of the wide ones of East Asia."""
    return east_asian_width(sign) in {"W", "F"}


def label_lines(text: str, columns: int, most: int) -> list[str]:
    """Break a label into lines; the wide letters of East Asia take two columns each."""
    return wrapped_lines(one_line(text), columns // 2 if any(map(is_wide, text)) else columns, most)
