"""A ruleset in a real browser: written with a mistake first, checked, committed, tested, activated, rolled back."""

from typing import TYPE_CHECKING, Any

from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog

CUSTOMER = "c/1 ä"


def work(served: Served) -> None:
    """Run what is waiting for a worker."""
    served.place.run_backtests()


@in_looks(("dark", False))
def test_a_ruleset_from_its_text_to_its_activation_and_back(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    with visiting(browser, served, "publisher", **look) as page:
        page.goto("/console/rulesets")
        page.click("tbody a:has-text('retail')")
        page.click("a:has-text('Start a draft')")
        text = page.input_value("#document").replace('"points": 340', '"points": 350')
        page.fill("#document", text.replace('"points": 350', '"points": "many"'))
        page.fill("#customer", CUSTOMER)
        page.press("#customer", "Enter")
        page.wait_for_selector(".findings")
        assert "'many' is not a number" in page.inner_text(".findings")
        page.fill("#document", text)
        page.click("button.main:has-text('Check')")
        page.wait_for_selector("p:has-text('Faults: 0.')")
        assert "+350" in page.inner_text("section:has(#tried)")
        page.click("button:has-text('Save draft')")
        assert "The draft is saved." in page.inner_text("[role=status]")
        page.click("summary:has-text('Commit revision')")
        page.fill("#accept", "The doubts are known.")
        page.click("button[formaction$='/commit']")
        assert "The version is committed." in page.inner_text("[role=status]")
        assert "another person activates" in page.inner_text("section:has(#activate)")
        page.click("button:has-text('Run a backtest')")
        version = page.url.partition("?")[0]
    work(served)
    with visiting(browser, served, "admin", **look) as page:
        page.goto(version)
        page.fill("#reason", "Looked at, and right.")
        page.check("[name=confirmed]")
        page.click("button:has-text('Activate version')")
        assert "The version decides from now on." in page.inner_text("[role=status]")
        page.click("h1 a")
        page.fill("#reason", "Too many rose.")
        page.click("button:has-text('Propose the roll-back')")
        assert "The roll-back is proposed." in page.inner_text("[role=status]")
        proposal = page.url.partition("?")[0]
    work(served)
    with visiting(browser, served, "publisher", **look) as page:
        page.goto(proposal)
        page.fill("#approve", "It is so.")
        page.check("form[action$='/approve'] [name=confirmed]")
        page.click("form[action$='/approve'] button")
        assert "The change is approved and carried out." in page.inner_text("[role=status]")
        page.goto("/console/rulesets/retail")
        assert "Version 1 decides" in page.inner_text(".sentence")


def test_what_was_found_says_that_it_is_of_an_earlier_text_until_an_answer_comes(
    browser: "Browser", served: Served
) -> None:
    def typed(text: str) -> None:
        page.press("#document", "Control+End")
        page.locator("#document").press_sequentially(text)

    with visiting(browser, served, "publisher") as page:
        page.goto("/console/rulesets/retail/edit")
        typed("# one\n")
        page.wait_for_selector("#announced:text('Doubts: ')", state="attached")
        for answer in (lambda route: route.abort(), lambda route: route.fulfill(status=502, body="<p>Bad gateway</p>")):
            page.route("**/check", answer)
            typed("nonsense: [\n")
            page.wait_for_selector("#found[aria-busy=true] > .earlier")
            page.wait_for_selector("#found[aria-busy=false] > .unanswered")
            assert page.locator("#findings").count() == 1, "what was found before stays, and is said to be so"
            page.unroute("**/check")
        typed("y" * 3)
        page.wait_for_selector("#found:not([aria-busy]):has-text('A text with faults cannot be committed.')")
        assert page.locator("#found .unanswered, #found .earlier").count() == 0


def test_a_check_that_is_refused_says_why_and_the_next_one_works(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "publisher") as page:
        page.goto("/console/rulesets/retail/edit")
        text = page.input_value("#document")
        page.fill("#document", f"{text}# {'y' * 800_000}")
        page.wait_for_selector("#found:has-text('larger than 792,000 bytes')")
        page.fill("#document", f"{text}# short")
        page.wait_for_selector("#found #findings")


def test_a_refusal_does_not_stand_above_what_a_later_check_came_to(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "publisher") as page:
        page.goto("/console/rulesets/retail/edit")
        text = page.input_value("#document")
        page.fill("#document", "")
        page.click("button.main:has-text('Check')")
        page.wait_for_selector("#refused:has-text('the text is empty')")
        page.fill("#document", text)
        page.wait_for_selector("#found #findings")
        assert page.locator("#refused").count() == 0


def test_a_text_that_is_not_saved_is_not_left_without_a_question(browser: "Browser", served: Served) -> None:
    asked: list[str] = []

    def stays(dialog: "Dialog") -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    def leave_for_the_queue() -> None:
        page.locator("header nav a:has-text('Queue')").click(no_wait_after=True)

    def asked_before_it_is_left() -> list[str]:
        asked.clear()
        with page.expect_event("dialog"):
            leave_for_the_queue()
        return list(asked)

    with visiting(browser, served, "publisher") as page:
        page.on("dialog", stays)
        page.goto("/console/rulesets/retail/edit")
        page.locator("#document").press_sequentially("# an hour of work\n")
        assert asked_before_it_is_left() == ["beforeunload"]
        assert "# an hour of work" in page.input_value("#document")
        page.click("button.main:has-text('Check')")
        page.wait_for_selector("#findings")
        assert page.url.endswith("/check"), "a form that is sent is not asked about"
        assert asked_before_it_is_left() == ["beforeunload"], "checked is not saved"
        page.click("button:has-text('Save draft')")
        page.wait_for_selector("text=The draft is saved.")
        asked.clear()
        leave_for_the_queue()
        page.wait_for_url("**/queue")
        assert asked == []


def test_a_text_stays_on_the_page_where_the_session_ends_and_is_shown_to_be_copied(
    browser: "Browser", served: Served
) -> None:
    with visiting(browser, served, "publisher") as page:
        page.goto("/console/rulesets/retail/edit")
        page.context.clear_cookies()
        page.locator("#document").press_sequentially("# an hour of work\n")
        page.wait_for_selector("#found :text('Your session has ended.')")
        assert "# an hour of work" in page.input_value("#document")
        page.click("button:has-text('Save draft')")
        page.wait_for_selector("text=nothing was changed")
        assert "# an hour of work" in page.input_value("textarea[readonly]")
