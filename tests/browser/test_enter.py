"""Enter in the forms beside a text, in a real browser: it presses the button of its own part, and nothing is lost."""

from typing import TYPE_CHECKING

from tests.browser.conftest import Served
from tests.browser.test_console import visiting
from tests.browser.test_flow_forms import NEW, begun

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EDIT = "/console/rulesets/retail/edit"
COMPOSING = ("isComposing: true", "keyCode: 229")
"""How browsers say that Enter ends a word which an input method composes: Safari in the second way alone."""


def compose(page: "Page", field: str) -> None:
    """Press Enter in a field while an input method composes a word, which no script is to take."""
    for said in COMPOSING:
        event = f"new KeyboardEvent('keydown', {{key: 'Enter', bubbles: true, cancelable: true, {said}}})"
        assert page.eval_on_selector(field, f"field => field.dispatchEvent({event})"), said


def entered(page: "Page", field: str, answer: str) -> None:
    """Press Enter in a field, and wait for what the page says then."""
    compose(page, field)
    page.press(field, "Enter")
    page.wait_for_selector(f"main :is([role=status], .problem):has-text('{answer}')")


def test_enter_presses_the_button_of_the_rulesets_part(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "publisher") as page:
        page.goto(EDIT)
        page.click("summary:has-text('Write a rule')")
        page.fill("#rule_value", "KP")
        page.fill("#rule_points", "5")
        page.fill("#rule_id", "brand-new")
        entered(page, "#rule_id", "Title is empty")
        assert (page.input_value("#rule_value"), page.input_value("#rule_id")) == ("KP", "brand-new")
        page.fill("#rule_title", "A brand new one")
        page.fill("#rule_rationale", "The reason why.")
        entered(page, "#rule_rationale", "The rule is written into the text")
        assert "brand-new" in page.input_value("#document")
        page.click("summary:has-text('Write other thresholds')")
        page.fill("#thresholds", "300, 800")
        entered(page, "#thresholds", "The thresholds are written into the text")
        assert "800" in page.input_value("#document")
        assert "brand-new" in page.input_value("#document")
        page.click("button:has-text('Save draft')")
        page.wait_for_selector("text=The draft is saved.")
        page.click("summary:has-text('Commit revision')")
        page.fill("#accept", "The doubts are known.")
        entered(page, "#accept", "The version is committed.")


def test_enter_writes_the_form_of_a_flows_action(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "publisher") as page:
        page.goto(NEW)
        begun(page, "actions", "tag")
        for field, typed in {"id": "watch", "title": "Watched", "tag": "watched"}.items():
            page.fill(f"#field-{field}", typed)
        entered(page, "#field-tag", "watch is written into the text.")
        assert "tag: watched" in page.input_value("#document")
