"""From a chart to a file: SVG or PNG, drawn in this process, without a browser and without a network.

Text keeps its planned width, in any font of the reader's machine. A picture is laid out with the widths of Helvetica,
which Arial, Liberation Sans and Arimo share. On a machine without any of them, wider letters overlapped and ran out of
the picture. So every text carries its width (`textLength`), and a browser fits it to that.
"""

import html
import re
from pathlib import Path

import altair as alt
import vl_convert

from fivefold.domain.files import replacing, require_picture

PNG_SCALE = 2.0
"""Pixels for each point of the drawing: sharp on present screens and in print."""

_DIALECT = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
STACK = "Liberation Sans, Arial, Helvetica, Arimo, sans-serif"
"""Fonts with the same widths, one of which nearly every machine has."""
_LINE = re.compile(r"<tspan(?P<attributes>[^>]*)>(?P<content>[^<]*)</tspan>")
_TEXT = re.compile(r"<text(?P<attributes>[^>]*)>(?P<content>[^<]*|(?:<tspan[^>]*>[^<]*</tspan>)+)</text>")
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


def svg(chart: alt.TopLevelMixin) -> str:
    """Draw a chart as the text of an SVG picture."""
    return with_text_widths(vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=_DIALECT, allowed_base_urls=[]))


def png(chart: alt.TopLevelMixin) -> bytes:
    """Draw a chart as the bytes of a PNG picture."""
    return vl_convert.vegalite_to_png(chart.to_dict(), vl_version=_DIALECT, scale=PNG_SCALE, allowed_base_urls=[])


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Draw a chart into a file: all of it, or nothing at all.

    Args:
        chart: any picture of this room.
        path: the file; its suffix, `.svg` or `.png`, chooses the format. An existing file is replaced.

    Raises:
        ConfigError: the suffix is another one, the folder does not exist, or a folder stands in its place.
    """
    require_picture(path)
    content = png(chart) if path.suffix.lower() == ".png" else svg(chart).encode()
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text in pixels, at a size in pixels.

    >>> round(width("Deposits", 12), 1)
    46.7
    """
    return sum(_OTHERS.get(sign, 556) for sign in text) / 1000 * size * (_BOLD if bold else 1.0)


def with_text_widths(svg: str) -> str:
    """Set the width of every text of a picture, and fonts that have it."""
    return _TEXT.sub(_with_width, svg)


def _with_width(match: re.Match[str]) -> str:
    content, size = match["content"], _SIZE.search(match["attributes"])
    attributes = re.sub(r'font-family="[^"]*"', f'font-family="{STACK}"', match["attributes"])
    if size is None:
        return f"<text{attributes}>{content}</text>"

    def fitted(own: str, words: str) -> str:
        text = html.unescape(words).strip()
        if not text or "textLength" in own:
            return own
        room = width(text, float(size[1]), bold='font-weight="bold"' in attributes)
        return f'{own} textLength="{room:.1f}" lengthAdjust="spacingAndGlyphs"'

    if "<tspan" not in content:
        return f"<text{fitted(attributes, content)}>{content}</text>"
    # A title of several lines: each is as wide as it was laid out.
    lines = _LINE.sub(
        lambda line: f"<tspan{fitted(line['attributes'], line['content'])}>{line['content']}</tspan>", content
    )
    return f"<text{attributes}>{lines}</text>"
