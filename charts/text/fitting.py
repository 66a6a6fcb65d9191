"""Text in SVG pictures keeps its planned width, in any font of the reader's machine.

A picture is laid out with the widths of Helvetica, which Arial, Liberation Sans and Arimo share. A machine that has
none of them draws wider signs, which ran out of the picture and over each other. So every text carries its width
(`textLength`), and a browser draws it as wide, no wider.
"""

import html
import re

STACK = "Liberation Sans, Arial, Helvetica, Arimo, sans-serif"
"""Fonts with the same widths, one of which nearly every machine has."""
_TEXT = re.compile(r"<text(?P<attributes>[^>]*)>(?P<content>[^<]*)</text>")
_SIZE = re.compile(r'font-size="([0-9.]+)px"')
_OTHERS = {
    **dict.fromkeys("ijl'", 222),
    **dict.fromkeys("ft.,:;!/\\[] I", 278),
    **dict.fromkeys("r()-`", 333),
    **dict.fromkeys("ckszvxyJ", 500),
    **dict.fromkeys("FTZ", 611),
    **dict.fromkeys("ABEKPSVXY&", 667),
    **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778),
    **dict.fromkeys("mM", 833),
    **dict.fromkeys("+<=>~−×", 584),
    "%": 889,
    "@": 1015,
    "W": 944,
    "*": 389,
    '"': 355,
    "|": 260,
    "…": 1000,
    "{": 334,
    "}": 334,
    "→": 1000,
}
"""Widths in thousandths of the size, as the font's published metrics have them; 556 for all others."""
_BOLD = 1.06
"""How much wider bold text is."""


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Give the width of a text in pixels, at a size in pixels.

    >>> round(width("Deposits", 12), 1)
    46.7
    """
    return sum(_OTHERS.get(sign, 556) for sign in text) / 1000 * size * (_BOLD if bold else 1.0)


def fitted(svg: str) -> str:
    """Give every text of a picture its width, and fonts that have it."""
    return _TEXT.sub(_fitted, svg)


def _fitted(match: re.Match[str]) -> str:
    attributes, content = match["attributes"], match["content"]
    text, size = html.unescape(content).strip(), _SIZE.search(attributes)
    attributes = re.sub(r'font-family="[^"]*"', f'font-family="{STACK}"', attributes)
    if not text or size is None or "textLength" in attributes:
        return f"<text{attributes}>{content}</text>"
    room = width(text, float(size[1]), bold='font-weight="bold"' in attributes)
    return f'<text{attributes} textLength="{room:.1f}" lengthAdjust="spacingAndGlyphs">{content}</text>'
