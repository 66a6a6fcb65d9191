import os
import re
import stat
from pathlib import Path

import altair as alt
import pytest

from fivefold.charts import render
from fivefold.domain.errors import ConfigError


@pytest.fixture
def chart() -> alt.Chart:
    return alt.Chart(alt.InlineData(values=[{"a": 1}]), title="A dot").mark_point().encode(x="a:Q")


def test_an_svg_is_text_with_its_title(chart: alt.Chart, tmp_path: Path) -> None:
    render.save(chart, tmp_path / "dot.svg")
    content = (tmp_path / "dot.svg").read_text(encoding="utf-8")
    assert content.startswith("<svg")
    assert "A dot" in content
    assert content == render.svg(chart)


def test_a_png_is_an_image_of_a_sensible_size(chart: alt.Chart, tmp_path: Path) -> None:
    path = tmp_path / "dot.PNG"
    render.save(chart, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    assert 2 * 300 < width < 1000  # two pixels for each of Vega-Lite's 300 points, and the margins
    assert 40 < height < 300


@pytest.mark.parametrize("name", ["dot.pdf", "dot", "dot.svg.gz", ".png"])
def test_another_suffix_is_refused_with_those_allowed(chart: alt.Chart, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.svg or \.png"):
        render.save(chart, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(chart: alt.Chart, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        render.save(chart, tmp_path / "absent" / "dot.svg")


def test_a_chart_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "dot.svg"
    path.write_text("old")
    outside = alt.Chart("http://127.0.0.1:9/data.csv").mark_point().encode(x="a:Q")
    with pytest.raises(ValueError, match="not allowed"):
        render.save(outside, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_write_leaves_nothing_behind(
    chart: alt.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dot.svg"
    path.write_text("old")

    def full(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        render.save(chart, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_leaves_nothing_behind(chart: alt.Chart, tmp_path: Path) -> None:
    (tmp_path / "dot.svg").mkdir()
    with pytest.raises(ConfigError, match=r"dot\.svg"):
        render.save(chart, tmp_path / "dot.svg")
    assert list(tmp_path.iterdir()) == [tmp_path / "dot.svg"]


def test_a_file_is_as_readable_as_any_other(chart: alt.Chart, tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        render.save(chart, tmp_path / "dot.svg")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "dot.svg").stat().st_mode) == 0o644


def test_the_same_chart_is_the_same_picture(chart: alt.Chart) -> None:
    assert render.svg(chart) == render.svg(chart)
    assert render.png(chart) == render.png(chart)


def test_each_line_of_a_title_carries_its_width(chart: alt.Chart) -> None:
    lines = ["Customer user_000027: score 4.32, top", "more than 82 % of the customers"]
    spans = re.findall(r'<tspan[^>]*textLength="([0-9.]+)"', render.svg(chart.properties(title=lines)))
    assert [float(span) for span in spans] == [
        pytest.approx(render.width(line, 13, bold=True), abs=0.1) for line in lines
    ]
