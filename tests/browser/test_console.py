"""Journeys through the console in a real browser: with scripts and without, light and dark, wide and narrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fivefold.console.table import VIEWS
from tests.browser.conftest import Served, in_looks
from tests.pace import slowness
from tests.serving.v1.places import OURS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ACME = "/console/entities/company/acme"
CUSTOMER = "/console/entities/customer/c%2F1%20%C3%A4"
PARTS = {
    "type": "customer",
    "external_id": "c%2F1%20%C3%A4",
    "assessment": "1.1",
    "validation": "1",
    "job": "1",
    "archive": "1",
    "item": "override-1-0",
    "member": "1",
    "version": "2",
    "family": "retail",
    "number": "2",
    "backtest": "1",
    "proposal": "3",
    "endpoint": "1",
    "list": "kept",
    "policy": "payments",
    "group": "high-ones",
    "flow": "care",
    "run": "1",
    "replay": "1",
    "decision": "1",
    "challenge": "1",
    "since": "2025-01-01",
}
LOOKS = [pytest.param("light", 1280, marks=pytest.mark.full), ("dark", 360)]
MILLISECONDS = 60_000
"""Time limit of a step in the browser, on a machine that is quick."""
SERIOUS = {"serious", "critical"}
MODERATE = {"landmark-unique"}
"""Faults that are none of these, and that no page has all the same."""


@contextmanager
def visiting(browser: "Browser", served: Served, role: str, **look: Any) -> "Iterator[Page]":
    """Sign in as the person who has a role, and give the page that follows."""
    context = browser.new_context(base_url=served.address, **look)
    context.set_default_timeout(MILLISECONDS * slowness())
    page = context.new_page()
    page.goto("/console/sign-in")
    page.fill("#token", served.place.tokens[OURS, role])
    page.click("button.main")
    yield page
    context.close()


def test_what_was_being_written_is_seen_after_another_page_and_back(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(ACME)
        page.get_by_text("Request an override").click()
        page.fill("#reason", "A court asked")
        page.goto("/console/queue")
        page.go_back()
        assert page.input_value("#reason") == "A court asked"
        assert page.locator("#reason").is_visible()
        assert not page.locator("#words").is_visible(), "a part in which nothing was written stays closed"


@in_looks(("light", True), ("dark", False))
def test_an_override_from_request_to_approval(browser: "Browser", served: Served, look: dict[str, Any]) -> None:
    with visiting(browser, served, "investigator", **look) as page:
        page.fill("#find", "acme")
        page.click("header button")
        assert page.url.endswith(ACME)
        page.click("summary:has-text('Request an override')")
        page.select_option("#level", "high")
        page.fill("#reason", "A court asked for it.")
        page.click("form[action*='/override'] button")
        assert "Another person has to approve or refuse it" in page.inner_text("[role=status]")
    with visiting(browser, served, "approver", **look) as page:
        page.goto("/console/queue")
        page.click("tr:has-text('A court asked for it.') a")
        page.click("article:has-text('A court asked for it.') form[action*='/approve-override'] button")
        assert "The override is approved" in page.inner_text("[role=status]")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_no_page_has_a_serious_fault_of_accessibility_or_is_wider_than_the_screen(
    browser: "Browser", served: Served, scheme: Any, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    look = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    addresses = [view.path.format(**PARTS) for view in VIEWS if view.method == "GET"]
    with visiting(browser, served, "admin", **look) as page:
        for address in [*addresses, ACME, "/console/search?text=none", "/console/portfolio?level=low", "/console/none"]:
            page.goto(address)
            faults = [
                f"{address}: {fault['id']}: {fault['nodes'][0]['html']}"
                for fault in Axe().run(page).response["violations"]
                if fault["impact"] in SERIOUS or fault["id"] in MODERATE
            ]
            assert not faults
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def press_tab_until(page: "Page", focus: str) -> None:
    for _ in range(200):
        if page.evaluate("document.activeElement?.id") == focus:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{page.url}: 200 presses of Tab do not lead to {focus}")


def test_the_keyboard_alone_signs_in_finds_a_customer_and_sets_a_tag(browser: "Browser", served: Served) -> None:
    context = browser.new_context(base_url=served.address)
    context.set_default_timeout(MILLISECONDS * slowness())
    page = context.new_page()
    page.goto("/console/sign-in")
    page.wait_for_selector("#token:focus")  # autofocus comes with the first frame, later than `goto` returns
    page.keyboard.type(served.place.tokens[OURS, "investigator"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/queue")
    press_tab_until(page, "find")
    page.keyboard.type("acme")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{ACME}")
    press_tab_until(page, "tag")
    page.keyboard.type("watch")
    page.keyboard.press("Enter")
    page.wait_for_url("**notice=tag-*")  # it is set, and nothing reads it
    assert "watch" in page.inner_text("main")
    context.close()


def test_nothing_is_refused_by_the_policy_of_the_pages_and_nothing_is_asked_of_other_hosts(
    browser: "Browser", served: Served
) -> None:
    with visiting(browser, served, "investigator") as page:
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        for address in ("/console/queue", ACME, CUSTOMER, "/console/portfolio"):
            page.goto(address)
        assert said == []
        assert asked
        assert [url for url in asked if not url.startswith(served.address)] == []


def test_the_results_of_a_search_follow_what_is_typed_and_the_address_follows_them(
    browser: "Browser", served: Served
) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto("/console/search")
        page.type("#text", "acm")
        page.wait_for_selector("#announced:text('Company: 1.')", state="attached")
        page.click("#results a:has-text('acme')")
        page.wait_for_url(f"**{ACME}")
        page.go_back()
        assert "text=acm" in page.url
        page.wait_for_selector("#results a:has-text('acme')")


def test_who_types_a_whole_identifier_stays_on_the_page_and_has_not_opened_its_reasons(
    browser: "Browser", served: Served
) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto("/console/search")
        page.type("#text", "c/1 ä")
        page.wait_for_url("**/console/search?text=c%2F1**%C3%A4*")
        page.wait_for_selector("#results a:has-text('c/1 ä')")
        with served.place.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM openings").scalar_one() == 0
        page.click("main button.main")
        page.wait_for_url(f"**{CUSTOMER}")


def test_a_search_after_the_end_of_the_session_leads_to_the_sign_in(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto("/console/search")
        page.context.clear_cookies()
        page.type("#text", "acm")
        page.click("#results [role=alert] a:has-text('Sign in')")
        page.wait_for_url("**/console/sign-in?next=*")


def test_a_link_on_another_site_opens_the_page_for_a_person_who_is_signed_in(
    browser: "Browser", served: Served
) -> None:
    with visiting(browser, served, "investigator") as page:
        other = served.address.replace("127.0.0.1", "localhost")
        link = f"<a href='{served.address}{ACME}'>open</a>"
        page.route(f"{other}/mail", lambda route: route.fulfill(body=link, content_type="text/html"))
        page.goto(f"{other}/mail")
        page.click("a")
        page.wait_for_selector("h1:has-text('acme')")
        assert page.url == f"{served.address}{ACME}"


@pytest.mark.full
def test_who_signs_in_after_the_end_of_a_session_keeps_what_was_written(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto(ACME)
        page.get_by_text("Request an override").click()
        page.locator("textarea#reason").fill("A court\nasked for it.")
        page.context.clear_cookies()
        page.get_by_role("button", name="Request", exact=True).click()
        page.get_by_text("this page stays").wait_for()
        assert page.locator(":focus").inner_text().startswith("Your session has ended")
        assert page.locator("#token").count() == 0, "a token would stay in the page that is left open"
        with page.context.expect_page() as opened:
            page.locator("main a.button").click()
        opened.value.locator("#token").fill(served.place.tokens[OURS, "investigator"])
        opened.value.locator("#token").press("Enter")
        opened.value.wait_for_url(f"**{ACME}")
        assert "A court\nasked for it." in [each.input_value() for each in page.locator("textarea[readonly]").all()]
