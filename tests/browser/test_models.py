"""The data scientist's journey in a real browser: compare two versions of the model, promote one, and roll back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import visiting
from tests.serving.v1.places import THEIRS

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@in_looks(("dark", False))
def test_a_version_is_compared_promoted_and_rolled_back(
    browser: "Browser", served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: dict[str, Any]
) -> None:
    from fivefold.models import promotions
    from fivefold.store.tables.accounts import Member
    from tests.console.visitors import pages
    from tests.serving.v1.models.registries import made

    own = made(tmp_path / "registry")
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model behind them
    monkeypatch.setattr(pages()[1], "_registry", lambda: own)
    with Session(served.place.engine) as session, session.begin():
        theirs = Member.organisation_id == served.place.organisations[THEIRS]
        session.execute(update(Member).where(theirs).values(left_us=1))
    with visiting(browser, served, "admin", **look) as page:
        page.click("nav a:has-text('Models')")
        page.click("section[aria-labelledby=versions] a:text-is('2')")
        assert "5 of 75 customers of the window are in another segment" in page.inner_text("main")
        assert page.locator("svg[role=img]").count() == 3
        page.click("summary:has-text('Promote this version')")
        page.fill("#reason", "It ranks better.")
        page.click("form[action$='/promote'] button")
        assert "This version serves from now on" in page.inner_text("[role=status]")
        page.click("a:has-text('All versions')")
        serving = page.locator("main p.sentence")
        assert serving.inner_text().startswith("Version 2 serves")
        page.click("summary:has-text('Roll back')")
        page.fill("#reason", "Complaints of the branches.")
        page.click("form[action$='/rollback'] button")
        page.wait_for_selector("[role=status]")
        assert serving.inner_text().startswith("Version 1 serves")
        first = page.locator("section[aria-labelledby=changes] tbody tr").first.inner_text()
        assert "rolled back" in first
        assert "Complaints of the branches." in first
        assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
