"""What scrolls sideways is a region with a name, which the keyboard reaches."""

import re
from pathlib import Path

import pytest

CONSOLE = Path(__file__).parents[2] / "console"
TEMPLATES = sorted(CONSOLE.glob("**/templates/*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.parent.parent.name}/{template.name}")
def test_what_may_be_wider_than_the_screen_is_a_named_region(template: Path) -> None:
    for tag in re.findall(r'<div class="wide"[^>]*>', template.read_text(encoding="utf-8")):
        assert 'role="region"' in tag, tag
        assert 'tabindex="0"' in tag, tag
        assert re.search(r'aria-label="\{\{ [^"]+ \}\}"', tag), tag
