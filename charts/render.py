"""From a chart to a file: SVG or PNG, drawn in this process, without a browser and without a network."""

from pathlib import Path

import altair as alt
import vl_convert

from fivefold.charts.files import require_picture
from fivefold.charts.text.fitting import fitted
from fivefold.domain.files import replacing

PNG_SCALE = 2.0
"""Pixels for each point of the drawing: sharp on present screens and in print."""

_DIALECT = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]


def svg(chart: alt.TopLevelMixin) -> str:
    """Draw a chart as the text of an SVG picture."""
    return fitted(vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=_DIALECT, allowed_base_urls=[]))


def png(chart: alt.TopLevelMixin) -> bytes:
    """Draw a chart as the bytes of a PNG picture."""
    return vl_convert.vegalite_to_png(chart.to_dict(), vl_version=_DIALECT, scale=PNG_SCALE, allowed_base_urls=[])


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Draw a chart into a file: all of it, or nothing at all.

    Args:
        chart: any picture of this room.
        path: where to; its suffix, `.svg` or `.png`, chooses the format. A file that is there is replaced.

    Raises:
        ConfigError: the suffix is another one, or the folder does not exist.
    """
    require_picture(path)
    content = png(chart) if path.suffix.lower() == ".png" else svg(chart).encode()
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)
