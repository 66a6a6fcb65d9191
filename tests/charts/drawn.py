"""What a drawn picture says."""

from xml.etree import ElementTree as ET

import altair as alt

from fivefold.charts.render import svg


def words(chart: alt.TopLevelMixin) -> list[str]:
    """All text of a picture, in the order of drawing; it must be well formed, with its title said aloud."""
    said = [text for node in ET.fromstring(svg(chart)).iter() if (text := (node.text or "").strip())]
    title = chart.to_dict()["title"]["text"]
    assert title in said
    assert chart.to_dict()["description"] == title
    return said
