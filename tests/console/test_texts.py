"""Every text of the pages is in the catalogue that translators begin with, and none stands outside of it."""

import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from fivefold.console.rendering import NOTICES

CONSOLE = Path(__file__).parents[2] / "console"
SERVED = CONSOLE.parent / "serving" / "console.py"
CATALOGUE = CONSOLE / "texts.pot"
TEMPLATES = sorted(CONSOLE.glob("**/templates/*.html"))
MAPPING = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"**/templates/**.html": {"trim_blocks": "true", "silent": "false"}}
KEYWORDS = {"_": None, "text": None}
NAMES = {"fivefold", "txt", "yaml", "json", "POST", "GET"}
"""Words that are the same in every language."""
WRITE = os.environ.get("FIVEFOLD_GOLDEN") == "write"


def extracted() -> bytes:
    """Write the catalogue anew, with the tools of the field: Babel, and Jinja's extraction for it."""
    messages: Any = pytest.importorskip("babel.messages", reason="Babel is in the extra `dev`")
    extract: Any = pytest.importorskip("babel.messages.extract")
    pofile: Any = pytest.importorskip("babel.messages.pofile")
    catalogue = messages.Catalog(project="fivefold", charset="utf-8")
    found = extract.extract_from_dir(CONSOLE, MAPPING, OPTIONS, KEYWORDS)
    for name, _line, message, _comments, _context in found:
        catalogue.add(message, locations=[(name, 0)])
    with SERVED.open("rb") as source:
        for _line, message, _comments, _context in extract.extract("python", source, KEYWORDS):
            catalogue.add(message, locations=[("../serving/console.py", 0)])
    for message in NOTICES.values():
        catalogue.add(message, locations=[("rendering.py", 0)])
    written = BytesIO()
    pofile.write_po(written, catalogue, omit_header=True, sort_output=True, include_lineno=False, width=120)
    return written.getvalue()


def test_the_catalogue_has_what_the_pages_say() -> None:
    now = extracted()
    if WRITE:
        CATALOGUE.write_bytes(now)
    assert CATALOGUE.read_bytes() == now, "FIVEFOLD_GOLDEN=write pytest tests/console/test_texts.py writes it anew"


def test_the_thousands_of_counts_are_written_by_one_filter() -> None:
    by_themselves = [str(template) for template in TEMPLATES if "{:,}" in template.read_text(encoding="utf-8")]
    assert not by_themselves, "`|thousands` writes how many there are"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.parent.parent.name}/{template.name}")
def test_no_text_of_a_template_stands_outside_the_catalogue(template: Path) -> None:
    written = template.read_text(encoding="utf-8")
    written = re.sub(r"(?s)\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", written)
    written = re.sub(r"(?s)<code>.*?</code>", "", written)
    said = re.sub(r"(?s)<[^>]*>", " ", written)
    for attribute in ("title", "aria-label", "placeholder", "alt"):
        said += " ".join(re.findall(rf'\s{attribute}="([^"]*)"', written))
    outside = set(re.findall(r"[A-Za-z]{2,}", re.sub(r"&\w+;", "", said))) - NAMES
    assert not outside, f"give them to _(…): {sorted(outside)}"


@pytest.mark.parametrize("source", [SERVED, CONSOLE / "answering.py"], ids=lambda source: str(source.name))
def test_no_reason_of_a_refusal_stands_outside_the_catalogue(source: Path) -> None:
    written = source.read_text(encoding="utf-8")
    outside = re.findall(r'\b(?:ApiError|error_alone|error_part|error_document)\([^()"]*"[^"]*"', written)
    outside += re.findall(r'\btext\((?!\s*")[^)]*', written)
    assert not outside, f"give what they say to text(…), as it is: {outside}"
