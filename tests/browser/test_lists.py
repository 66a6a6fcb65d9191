"""A list and a policy in a real browser: each is written by one person and approved by another, and then decides."""

from typing import TYPE_CHECKING, Any

from fivefold.usecases.decisions.decide import decide
from fivefold.usecases.shared.context import Context
from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import visiting
from tests.serving.v1.examples import CUSTOMER
from tests.usecases.decisions.deciding import cash

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@in_looks(("light", True))
def test_a_list_and_a_policy_are_written_and_approved_and_a_decision_says_why(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    with visiting(browser, served, "publisher", **look) as page:
        page.goto("/console/rulesets")
        page.click(".tabs a:has-text('Lists')")
        page.click("tbody a:has-text('kept')")
        page.click("a:has-text('Write a new version')")
        page.fill("#since", "2199-01-01")
        page.fill("#members", page.input_value("#members").replace("BY", "by") + "\nRU")
        page.click("button.main:has-text('Show what changes')")
        assert "Added: 1. Spelled differently: 1. Removed: 0." in page.inner_text("section:has(#differs)")
        page.fill("#reason", "The board of November.")
        page.click("button[formaction$='/add']")
        assert "The version is proposed." in page.inner_text("[role=status]")
        proposal = page.url.partition("?")[0]
        page.goto("/console/policies")
        page.click("tr:has-text('decides') a:has-text('payments')")
        page.click("a:has-text('Write a new version')")
        page.fill("#document", page.input_value("#document").replace("10000", "15000"))
        page.click("button.main:has-text('Check')")
        page.wait_for_selector("#found p:has-text('Faults: 0.')")
        page.fill("#reason", "Our new appetite.")
        page.fill("#accept", "The doubts are known.")
        page.click("button[formaction$='/propose']")
        assert "another person has to approve it" in page.inner_text("section:has(#approve)")
        policy = page.url.partition("?")[0]
    with visiting(browser, served, "admin", **look) as page:
        page.goto(proposal)
        page.fill("#approve", "As the minutes say.")
        page.click("form[action$='/approve'] button")
        assert "The change is approved and carried out." in page.inner_text("[role=status]")
        page.click("main a:has-text('kept')")
        page.click("tr:has-text('not in force yet') a:has-text('what it changes')")
        assert "by" in page.inner_text("table.lines")
        page.goto(policy)
        page.fill("#why", "As the minutes say.")
        page.check("[name=confirmed]")
        page.click("button:has-text('Approve version')")
        assert "The version decides from now on." in page.inner_text("[role=status]")
    asking = Context(served.place.engine, served.place.actor("investigator"))
    decide(asking, "payments", "customer", CUSTOMER, cash(-20_000.0))
    with visiting(browser, served, "investigator", **look) as page:
        page.click("header nav a:has-text('Decisions')")
        page.fill("#action", "block")
        page.press("#action", "Enter")
        page.click("tbody th a")
        assert "Block, by R0." in page.inner_text(".sentence")
        assert "15,000" not in page.inner_text("main")
        page.click("main a:has-text('c/1')")
        page.wait_for_selector("h1:has-text('c/1')")
