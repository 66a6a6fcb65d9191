"""An investigator's hour in a real browser: who rose today and why, and the queue from item to item."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Served, in_looks, look_of
from tests.browser.test_console import visiting
from tests.serving.v1.places import Place

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}


def rise(place: Place) -> None:
    """Let the customer rise by the rules, and an override wait; in a thread, for Playwright's loop has this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_rise, place).result()


def _rise(place: Place) -> None:
    customer = "/v1/entities/customer/c%2F1%20%C3%A4"
    for country in ("NO", "KP"):
        place.good("PUT", customer, {"attributes": {"country": country}}, role="app")
        place.good("GET", f"{customer}/risk", params={"freshness": "now"}, role="investigator")
    body = {"level": "high", "reason": "Waits"}
    place.good("POST", "/v1/entities/company/acme/overrides", body, role="investigator")


def kind(page: "Page") -> str:
    return page.inner_text("section.bar p")


@in_looks(("dark", False))
def test_who_rose_today_and_why(browser: Any, served: Served, look: dict[str, Any]) -> None:
    rise(served.place)
    with visiting(browser, served, "investigator", **look) as page:
        page.goto("/console/queue")
        page.select_option("#kind", "rise")
        page.select_option("#days", "1")
        page.click("form.filter[action='/console/queue'] button")
        assert "days=1" in page.url
        page.click("tbody tr:has-text('Level rose') th a")
        assert "High" in kind(page)
        assert page.inner_text("#risk + .sentence, #risk ~ .sentence")
        page.click("a:has-text('The whole timeline')")
        assert "Country: NO → KP" in page.inner_text("main")


def test_what_was_done_is_said_once(browser: Any, served: Served) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto("/console/entities/company/acme?all=tags")
        page.fill("#tag", "watch")
        page.click("button:text-is('Set')")
        page.wait_for_selector(".notice:has-text('The tag is set')")
        page.reload()
        assert page.locator("main h1").count() == 1
        assert page.locator(".notice").count() == 0


@in_looks(("dark", False))
def test_a_long_name_of_a_member_leaves_the_queue_as_wide_as_a_phone(
    browser: Any, served: Served, look: dict[str, Any]
) -> None:
    rise(served.place)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(served.place.join, f"{'a' * 72}@bank.example", "investigator").result()
    with visiting(browser, served, "investigator", **look) as page:
        page.goto("/console/queue")
        assert page.locator("#assigned_to").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@in_looks(("dark", False))
def test_an_hour_of_the_queue(browser: Any, served: Served, look: dict[str, Any]) -> None:
    rise(served.place)
    with visiting(browser, served, "investigator", **look) as page:
        page.goto("/console/queue")
        page.click("a:has-text('Start with the first')")
        seen, tagged = 0, False
        while any(f"/console/{place}/" in page.url for place in ("entities", "challenges", "flow-runs")):
            seen += 1
            assert seen < 20
            page.click("section.bar button:has-text('Assign to me')")
            assert "assigned to the investigator" in kind(page)
            page.wait_for_function("document.activeElement.className == 'notice'")
            of_customer = "/console/entities/" in page.url
            assert page.inner_text("#risk" if of_customer else "main h1")
            if of_customer and not tagged:
                tagged = True
                page.fill("#tag", "looked-at")
                page.click("form[action*='/tag'] button:has-text('Set')")
                assert "The tag is set." in page.inner_text("[role=status]")
            if "Level rose" in kind(page):
                page.click("section.bar button:has-text('put it away')")
            else:
                page.click("section.bar a:has-text('Next in queue')")
        assert seen >= 2
        assert tagged
        assert "That was the last item." in page.inner_text("[role=status]")
        page.click("nav.tabs a:has-text('Mine')")
        assert "in the queue" in page.inner_text("main .sentence")
        assert "Level rose" not in page.inner_text("table >> nth=-1")
        page.check("tbody input[type=checkbox] >> nth=0")
        page.select_option("#assigned_to", "")
        page.click("button[formaction*='/assign-many']")
        assert "1 done, 0 not done." in page.inner_text("main")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 360), pytest.param("light", 1280, marks=pytest.mark.full)])
def test_pages_on_the_way_through_the_queue_have_no_serious_fault(
    browser: Any, served: Served, scheme: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    rise(served.place)
    customer = "/console/entities/customer/c%2F1%20%C3%A4"
    addresses = ["/console/queue", "/console/queue/next", f"{customer}/timeline", "/console/queue?kind=failure"]
    addresses += [f"{customer}/transactions?since=2026-01-01&until=2026-11-30", "/console/queue/items/override-1-0"]
    with visiting(browser, served, "admin", **look_of(scheme, width, scripts=True), bypass_csp=True) as page:
        for address in addresses:
            page.goto(address)
            found = Axe().run(page).response["violations"]
            assert not [f"{address}: {each['id']}" for each in found if each["impact"] in SERIOUS]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
