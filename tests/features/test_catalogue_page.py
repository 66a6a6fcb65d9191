"""The catalogue as a page."""

from pathlib import Path

from fivefold.features.catalogue_page import catalogue_markdown, empty_text
from fivefold.features.indicators import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "indicators.md"


def test_the_page_is_current() -> None:
    """Otherwise: fivefold indicators --markdown > docs/indicators.md"""
    assert PAGE.read_text(encoding="utf-8") == catalogue_markdown()


def test_the_page_has_every_indicator_with_its_unit_and_meaning() -> None:
    lines = catalogue_markdown().splitlines()
    for made in CATALOGUE.indicators:
        assert f"| `{made.name}` | {made.label} | {made.unit} | {empty_text(made)} | {made.meaning} |" in lines


def test_the_empty_value_is_written_for_people() -> None:
    assert {empty_text(made) for made in CATALOGUE.indicators} == {"undefined", "0"}
