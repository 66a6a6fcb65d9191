"""Pages of the value model: what training stored, side by side, and why something is not there."""

import pytest

from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

PAGE = "/console/models"


@pytest.fixture
def publisher(furnished: Place) -> Visitor:
    return Visitor(furnished).sign_in("publisher")


def test_the_version_that_serves_is_told_with_who_and_why(publisher: Visitor) -> None:
    publisher.go(PAGE)
    assert "Version 1 serves since 3 June 2026 , instead of version 4, by ann (501)." in publisher.text
    assert "4 challenger" in publisher.text
    assert "0.9120" in publisher.text
    assert "keeps the champion against version 1" in publisher.text
    assert "No model serves here, so nothing is compared." in publisher.text
    rows = [link for link in publisher.links() if link.startswith(f"{PAGE}/")]
    assert [link.rpartition("/")[2] for link in rows] == ["1", "4", "3", "2", "1"], (
        "the champion, then the newest first"
    )


def test_two_versions_stand_side_by_side_on_the_same_window(publisher: Visitor) -> None:
    publisher.go(f"{PAGE}/2")
    text = publisher.text
    assert "The gate allows that it serves instead of version 1." in text
    assert "normalised Gini 0.9120 beats champion 0.9010" in text
    assert "version 1 0.9010 0.8800 – +0.0110 +0.0040" in text
    assert "5 of 75 customers of the window are in another segment than by version 1." in text
    assert "Top nobody" in text
    assert "Last balance balance 0.420 0.310" in text
    assert "off by 5.0 % of the money" in text
    page = publisher.page.text
    assert page.count('<polyline class="curve') == 4
    assert 'role="img"' in page
    assert "&lt;b&gt;other&lt;/b&gt;" in page, "a card is text"


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (1, "none was stored with this version"),
        (4, "comparison.json is damaged: JSONDecodeError"),
    ],
)
def test_a_comparison_that_is_not_there_is_told_with_its_reason(publisher: Visitor, version: int, why: str) -> None:
    assert f"There is no comparison: {why}" in publisher.go(f"{PAGE}/{version}").text
    assert "The card is gone." in publisher.text


def test_a_version_that_is_not_there_is_not_found(publisher: Visitor) -> None:
    assert publisher.go(f"{PAGE}/9").page.status_code == 404
    assert "there are: 4, 3, 2, 1" in publisher.text
    assert publisher.go(f"{PAGE}/0").page.status_code == 422


def test_a_machine_without_a_registry_says_so(publisher: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.console.visitors import pages

    monkeypatch.setattr(pages()[1], "_registry", lambda: None)
    assert "No model was trained yet." in publisher.go(PAGE).text
    assert publisher.go(f"{PAGE}/1").page.status_code == 404


def test_a_registry_that_does_not_answer_is_no_empty_list(publisher: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from fivefold.domain.errors import RegistryError
    from tests.console.visitors import pages

    def away() -> None:
        raise RegistryError("away")

    monkeypatch.setattr(pages()[1], "_registry", away)
    assert publisher.go(PAGE).page.status_code == 503
    assert publisher.place.ask("GET", "/v1/models", role="publisher").status_code == 200
