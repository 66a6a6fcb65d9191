"""Webhooks, and validations that a worker makes: in a real browser, with scripts and without."""

from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from fivefold.console.answering import error_part
from fivefold.usecases.monitoring.validate import VALIDATION
from fivefold.usecases.shared.jobs import run_next_job
from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import visiting
from tests.pace import slowness
from tests.serving.v1.more_rows import MORE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route


@in_looks(("light", True))
def test_a_dead_webhook_is_sent_again(browser: "Browser", served: Served, look: dict[str, Any]) -> None:
    for number in range(2):
        MORE["list_dead_letters"](served.place, number)
    with visiting(browser, served, "admin", **look) as page:
        page.click("nav a:has-text('Operations')")
        assert "2 could not be delivered" in page.inner_text("main")
        page.click("section[aria-labelledby=webhooks] tbody a")
        page.click("tbody tr:first-child form[action$='/replay'] button")
        assert "It will be sent again" in page.inner_text("[role=status]")
        assert "1 could not be delivered" in page.inner_text("main")
        page.click("button:has-text('Send all again')")
        assert "There are no dead letters." in page.inner_text("main")
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]


@in_looks()
def test_an_endpoint_is_added_given_a_new_secret_paused_and_removed(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    with visiting(browser, served, "admin", **look) as page:
        page.goto("/console/operations/webhooks")
        page.fill("#url", "https://hooks.example/in")
        page.fill("#kinds", "level.reached")
        page.click("button:has-text('Add and show the secret')")
        first = page.input_value("#secret")
        assert first.startswith("whsec_")
        page.click("a:has-text('I have noted it')")
        page.select_option("#kept", "0")
        page.click("button:has-text('Make a new secret')")
        assert page.input_value("#secret") != first
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
        page.click("a:has-text('I have noted it')")
        page.click("button:has-text('Pause it')")
        assert "paused: events wait" in page.inner_text("main")
        page.check("[name=confirmed]")
        page.click("button:has-text('Remove it')")
        assert "The endpoint is removed." in page.inner_text("[role=status]")
        assert "hooks.example" not in page.inner_text("main")


def answer_slowly(route: "Route") -> None:
    """Let the service answer at once, and the browser wait for that while its person clicks again."""
    answer = route.fetch()
    sleep(1)
    route.fulfill(response=answer)


@pytest.mark.full
def test_a_button_that_is_clicked_twice_shows_the_secret_all_the_same(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "admin") as page:
        page.goto("/console/operations/webhooks")
        page.fill("#url", "https://hooks.example/in")
        page.fill("#kinds", "level.reached")
        page.route("**/webhooks/add", answer_slowly)
        page.evaluate("""() => {
            const button = document.querySelector("form[action*='/add'] button");
            button.click();
            setTimeout(() => button.click(), 300);
        }""")
        page.wait_for_selector("#secret, #refused")
        assert not page.locator("#refused").count()
        assert page.input_value("#secret").startswith("whsec_")


@pytest.mark.full
def test_a_form_that_was_changed_meanwhile_is_sent_again_at_once(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator") as page:
        page.evaluate("""() => {
            const find = document.querySelector("#find"), button = find.form.querySelector("button");
            for (const text of ["acm", "acme"]) {
                find.value = text;
                find.dispatchEvent(new Event("input", { bubbles: true }));
                find.form.requestSubmit(button);
            }
        }""")
        page.wait_for_url(lambda address: "acm" in address)
        assert page.url.endswith("/acme"), "the one customer whom the second text finds"


def test_a_page_that_asks_how_far_a_worker_is_says_that_its_session_ended(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "approver") as page:
        page.goto("/console/validation")
        page.click("summary:has-text('Validate a quarter')")
        page.click("button:has-text('Validate')")
        page.wait_for_selector("#job:has-text('It is waiting for a worker.')")
        page.context.clear_cookies()
        said = "#job [role=alert]:has-text('Your session has ended. Sign in')"
        page.wait_for_selector(said, timeout=10_000 * slowness())
        assert page.get_attribute("#job", "hx-get") is None
        page.click("#job a:has-text('Sign in')")
        page.wait_for_url("**/console/sign-in?next=*jobs*")


def test_a_page_that_asks_how_far_a_worker_is_goes_on_after_a_fault_that_passes(
    browser: "Browser", served: Served
) -> None:
    answers = [(status, error_part(status, "Out of reach.").html) for status in (503, 429, 504)]

    def fails_at_first(route: "Route") -> None:
        if not answers:
            return route.fallback()
        status, html = answers.pop(0)
        return route.fulfill(status=status, body=html, content_type="text/html")

    with visiting(browser, served, "approver") as page:
        page.goto("/console/validation")
        page.click("summary:has-text('Validate a quarter')")
        page.click("button:has-text('Validate')")
        page.wait_for_selector("#job:has-text('It is waiting for a worker.')")
        page.route("**/console/validation/jobs/*", fails_at_first)
        assert run_next_job(served.place.engine, VALIDATION)
        page.wait_for_selector("#job a:has-text('Show the results')", timeout=20_000 * slowness())
        assert not answers


@in_looks()
def test_a_quarter_is_validated_by_a_worker_while_the_page_tells_how_far_it_is(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    with visiting(browser, served, "approver", **look) as page:
        page.goto("/console/validation")
        page.click("summary:has-text('Validate a quarter')")
        page.click("button:has-text('Validate')")
        assert "It is waiting for a worker." in page.inner_text("main")
        assert run_next_job(served.place.engine, VALIDATION)
        if not look["java_script_enabled"]:
            page.click("a:has-text('Show the present progress')")
        page.click("a:has-text('Show the results')")
        assert page.inner_text("h1").startswith("Validation 2")
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
