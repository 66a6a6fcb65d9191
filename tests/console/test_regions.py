"""What scrolls sideways is a region with a name, which the keyboard reaches."""

import re
from pathlib import Path

import pytest

CONSOLE = Path(__file__).parents[2] / "console"
TEMPLATES = sorted(CONSOLE.glob("**/templates/*.html"))
TEXT = re.compile(r'_\("([^"]+)"')


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.parent.parent.name}/{template.name}")
def test_what_may_be_wider_than_the_screen_is_a_named_region(template: Path) -> None:
    for tag in re.findall(r'<div class="wide"[^>]*>', template.read_text(encoding="utf-8")):
        assert 'role="region"' in tag, tag
        assert 'tabindex="0"' in tag, tag
        assert re.search(r'aria-label="\{\{ [^"]+ \}\}"', tag), tag


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.parent.parent.name}/{template.name}")
def test_a_region_has_another_name_than_the_section_around_it(template: Path) -> None:
    written = template.read_text(encoding="utf-8")
    sections = {name for heading in re.findall(r"(?s)<h2 id=.*?</h2>", written) for name in TEXT.findall(heading)}
    regions = re.findall(r"""role="region" aria-label="\{\{ _\('([^']+)'\) \}\}\"""", written)
    assert sections.isdisjoint(regions)
