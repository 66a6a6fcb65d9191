"""The forms of a flow in a real browser: what is wrong stands at its field, and nothing is saved by that."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import LOOKS, MODERATE, SERIOUS, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NEW = "/console/new-flow?start=onboarding"


def pressed(page: "Page", value: str) -> None:
    """Press a button of the forms."""
    folded = page.locator(f"details:not([open]):has(button[value='{value}']) > summary")
    if folded.count():
        folded.click()
    page.click(f"button[name=write][value='{value}']")
    page.wait_for_load_state()


def begun(page: "Page", part: str, kind: str) -> None:
    """Open the form of a new trigger, action or step."""
    summary = page.locator(f"details:not([open]):has([name=new_kind_{part}]) > summary")
    if summary.count():
        summary.click()
    if page.locator(f"select#new_kind_{part}").count():
        page.select_option(f"#new_kind_{part}", kind)
    pressed(page, f"begin:{part}")


@in_looks(("light", True), ("dark", False))
def test_what_is_wrong_stands_at_its_field(browser: "Browser", served: Served, look: dict[str, Any]) -> None:
    scripts = look["java_script_enabled"]
    with visiting(browser, served, "publisher", **look) as page:
        page.goto(NEW)
        pressed(page, "open:steps:by-hand")
        assert page.evaluate("document.activeElement.id") == "part-form", "the keyboard goes on in what was opened"
        before = page.input_value("#document")
        page.fill("#field-person-within", "soon")
        if not scripts:
            page.click("button.main:has-text('Check')")
        page.wait_for_selector("#field-person-within-found .fault")
        assert "is not a duration" in page.inner_text("#field-person-within-found")
        assert page.input_value("#field-person-within") == "soon", "what is typed stays"
        assert page.input_value("#document") == before
        if scripts:
            assert page.evaluate("document.activeElement.id") == "field-person-within"
        page.fill("#field-person-within", "4 days")
        if scripts:
            page.wait_for_selector("#field-person-within-found .fault", state="detached")
        pressed(page, "put")
        assert "Nothing is saved yet." in page.inner_text(".notice")
        assert page.input_value("#document") == before.replace("within: 3 days", "within: 4 days")
        begun(page, "triggers", "schedule")
        page.fill("#field-every", "monday, friday")
        page.fill("#field-at", "09:00")
        page.fill("#field-zone", "Europe/Oslo")
        pressed(page, "put")
        assert "Europe/Oslo" in page.input_value("#document")
        page.goto("/console/flows")
        assert "onboarding" not in page.inner_text("main table")


FORMS = (
    *(("flow", "flow"), ("steps", "table"), ("steps", "rules")),
    *(("actions", "limit"), ("triggers", "schedule"), ("examples", "example")),
)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_no_form_has_a_serious_fault_of_accessibility_or_is_wider_than_the_screen(
    browser: "Browser", served: Served, scheme: Any, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    look = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with visiting(browser, served, "publisher", **look) as page:
        for part, kind in FORMS:
            page.goto(NEW)
            if part == "flow":
                pressed(page, "open:flow:flow")
                page.fill("#field-title", "")
            else:
                begun(page, part, kind)
            pressed(page, "put")
            page.locator("#part-form .fault").first.wait_for()  # what is empty is named
            found = Axe().run(page).response["violations"]
            faults = [each for each in found if each["impact"] in SERIOUS or each["id"] in MODERATE]
            assert not [f"{kind}: {fault['id']}: {fault['nodes'][0]['html']}" for fault in faults]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, kind


TEXT = """flow: mine
title: Who is looked at
rationale: Some are looked at.
entity_type: customer
levels: [low, medium, high]
fields: {country: country}
actions:
  - {id: look, title: Review tomorrow, review: 1 day}
steps:
  - id: home
    title: Where they live
    rationale: It depends on that.
    route: [{when: {field: country, equals: IR}, to: done}]
    otherwise: nothing
    on_unknown: done
  - {id: done, title: Done, rationale: They are looked at., end: [look]}
  - {id: nothing, title: Nothing is done, rationale: Nobody looks., end: []}
examples:
  - {name: watched, given: {country: IR}, ends: done}
  - {name: at home, given: {country: "NO"}, ends: nothing}
"""


@in_looks(("light", True), ("dark", False))
def test_an_action_after_a_failure_and_an_example_are_added_and_committed(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    scripts = look["java_script_enabled"]
    with visiting(browser, served, "publisher", **look) as page:
        page.goto("/console/new-flow")
        page.fill("#document", TEXT)
        page.click("button.main:has-text('Check')")
        page.wait_for_load_state()
        pressed(page, "open:flow:flow")
        assert "names no action" in page.inner_text("#field-on_failure-found")
        page.focus("[name=field-on_failure-look]")
        page.keyboard.press("Space")
        pressed(page, "put")
        assert "on_failure: [look]" in page.input_value("#document")
        begun(page, "examples", "example")
        page.fill("#field-name", "nobody knows where")
        page.select_option("#field-ends", "nothing")
        if scripts:
            page.focus("#field-name")
            page.keyboard.press("Enter")
        else:
            pressed(page, "put")
        page.wait_for_selector("#field-ends-found .fault")
        assert "it comes to done, not nothing" in page.inner_text("#field-ends-found")
        if scripts:
            assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
        page.select_option("#field-ends", "done")
        pressed(page, "put")
        assert not page.locator("#part-form").count()
        page.click("button:has-text('Save draft')")
        page.wait_for_load_state()
        page.click("summary:has-text('Commit revision')")
        page.click("button[formaction$='/commit']")
        page.wait_for_load_state()
        assert "The version is committed." in page.inner_text("main")
        assert "3 examples, all as expected" in page.inner_text("main")
