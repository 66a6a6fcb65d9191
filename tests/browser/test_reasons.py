"""From a number to its reasons in a real browser: a score to its indicators, a portfolio to who moved and why."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def beside_the_browser(work: Callable[[], None]) -> None:
    """Do what needs an event loop of its own: the browser's runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


@in_looks()
def test_a_score_is_explained_from_its_picture_to_the_year_of_an_indicator(
    browser: "Browser", served: Served, look: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.usecases.levels.value_scores import EntityScorer
    from tests.console.levels.test_value_half import pay
    from tests.console.visitors import pages
    from tests.models.making import converting_model

    valuer = EntityScorer(converting_model(), "fivefold-value", 3)
    monkeypatch.setattr(pages()[1], "_valuer", lambda: valuer)

    def score() -> None:
        served.place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
        pay(served.place, valuer, range(500, 510))

    beside_the_browser(score)
    with visiting(browser, served, "investigator", **look) as page:
        page.fill("#find", "payer")
        page.click("header button")
        assert page.locator("svg.waterfall").count() >= 1
        family = page.locator("section[aria-labelledby=value] details summary").first
        family.click()
        assert page.locator("section[aria-labelledby=value] details[open] tr").count() >= 1
        page.click("section[aria-labelledby=value] a[href*='/value']")
        assert page.locator("svg.spark, td.number").count() >= 12
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]


@in_looks(("dark", False))
def test_the_portfolio_over_time_leads_to_a_customer_who_rose_and_to_why(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    from fivefold.domain.clock import day_text
    from tests.console.levels.test_portfolio import moved

    days: list[str] = []
    beside_the_browser(lambda: days.append(day_text(moved(served.place, "riser"))[:10]))
    with visiting(browser, served, "investigator", **look) as page:
        page.click("nav a:has-text('Portfolio')")
        page.click("nav[aria-label=Types] a:has-text('Company')")
        page.click("main nav a:has-text('Over time')")
        page.fill("#since", days[0])
        page.fill("#until", days[0])
        page.click("form.filters button")
        page.wait_for_url(f"**since={days[0]}*")
        assert "1 of the type company have a higher level at the end" in page.inner_text("main p.sentence")
        page.click("table.matrix td.up a")
        page.wait_for_url("**to=high*")
        people = page.locator("section[aria-labelledby=people]")
        assert "override" in people.locator("tbody tr:has-text('riser')").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
        people.locator("a:text-is('riser')").click()
        page.wait_for_url("**/console/entities/company/riser")
        assert "riser" in page.inner_text("h1")
