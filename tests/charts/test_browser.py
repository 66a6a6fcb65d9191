"""Pictures in a real browser: no text leaves its picture, and none is wider than the room that was laid out for it."""

import json
import re
import subprocess
from pathlib import Path

import altair as alt
import pytest

from fivefold.charts.render import svg, width, with_text_widths
from fivefold.charts.style import styled
from tests.chromium import CHROMIUM, NONE_HERE
from tests.pace import slowness

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
MEASURE = """
<!doctype html><meta charset="utf-8"><style>svg text { font-family: FONT !important; }</style>SVG
<script>
const picture = document.querySelector("svg"), whole = picture.getBoundingClientRect();
const found = [...picture.querySelectorAll("text")].map(text => {
  const box = text.getBoundingClientRect();
  return [text.textContent, box.left - whole.left, box.right - whole.left, whole.width];
});
const page = document.createElement("pre");
page.id = "found";
page.textContent = JSON.stringify(found);
document.body.append(page);
</script>
"""
FONTS = ("sans-serif", "monospace")
"""What a machine without our fonts may have; the second is much wider than any."""


def measured(picture: str, font: str, folder: Path) -> list[tuple[str, float, float, float]]:
    """Measure every text in Chromium: what it says, its left and right, and the picture's width."""
    if CHROMIUM is None:
        pytest.skip(NONE_HERE)
    page = folder / "page.html"
    page.write_text(MEASURE.replace("FONT", font).replace("SVG", picture), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * slowness(),
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return [
        tuple(line) for line in json.loads(found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
    ]


def legend() -> str:
    rows = [{"x": number, "name": name} for number, name in enumerate(["unreachable", "declined by everyone", "x"])]
    chart = alt.Chart(alt.InlineData(values=rows)).mark_bar().encode(x="x:Q", color="name:N")
    return svg(
        styled(chart, title="A title that is rather long, and says what is seen here", subtitle="How to read it")
    )


@pytest.mark.parametrize("font", FONTS)
def test_the_readme_s_picture_is_not_clipped(font: str, tmp_path: Path) -> None:
    texts = measured((ROOT / "docs" / "images" / "waterfall.svg").read_text(encoding="utf-8"), font, tmp_path)
    assert len(texts) > 20
    assert [text for text, left, right, whole in texts if left < -0.5 or right > whole + 0.5] == []


@pytest.mark.parametrize("font", FONTS)
def test_text_is_as_wide_as_it_was_laid_out(font: str, tmp_path: Path) -> None:
    for text, left, right, whole in measured(legend(), font, tmp_path):
        assert -0.5 < left < right < whole + 0.5, text
    plain = '<svg width="300" height="20"><text x="0" y="15" font-size="12px" font-family="x">unreachable</text></svg>'
    ((_, left, right, _),) = measured(with_text_widths(plain), font, tmp_path)
    assert right - left == pytest.approx(width("unreachable", 12), abs=0.6)


def test_every_text_of_a_picture_carries_its_width() -> None:
    texts = re.findall(r"<text[^>]*>[^<]+</text>", legend())
    assert texts
    assert [text for text in texts if "textLength=" not in text or "Liberation Sans" not in text] == []


def test_a_picture_that_carries_its_widths_stays_as_it_is() -> None:
    assert with_text_widths(legend()) == legend()


def test_signs_that_are_escaped_count_as_they_are_seen() -> None:
    once = with_text_widths('<text font-size="10px" font-family="x">a &amp; b</text>')
    assert f'textLength="{width("a & b", 10):.1f}"' in once
