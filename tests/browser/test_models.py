"""The data scientist's journey in a real browser: compare two versions of the model, and promote one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from tests.browser.conftest import Served
from tests.browser.test_console import visiting
from tests.serving.v1.places import THEIRS

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize(
    ("scheme", "width", "javascript"),
    [
        ("dark", 360, False),
        pytest.param("light", 1280, True, marks=pytest.mark.full),
    ],
)
def test_a_version_is_compared_and_promoted(
    browser: "Browser",
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: Any,
    width: int,
    javascript: bool,
) -> None:
    from fivefold.models import promotions
    from fivefold.store.tables.accounts import Member
    from tests.console.visitors import pages
    from tests.serving.v1.registries import made

    own = made(tmp_path / "registry")
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model behind them
    monkeypatch.setattr(pages()[1], "_registry", lambda: own)
    with Session(served.place.engine) as session, session.begin():
        theirs = Member.organisation_id == served.place.organisations[THEIRS]
        session.execute(update(Member).where(theirs).values(left_us=1))
    look = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "java_script_enabled": javascript}
    with visiting(browser, served, "admin", **look) as page:
        page.click("nav a:has-text('Models')")
        page.click("tbody a:has-text('2')")
        assert "5 of 75 customers of the window are in another segment" in page.inner_text("main")
        assert page.locator("svg[role=img]").count() == 3
        page.click("summary:has-text('Promote this version')")
        page.fill("#reason", "It ranks better.")
        page.click("form[action$='/promote'] button")
        assert "This version serves from now on" in page.inner_text("[role=status]")
        page.goto("/console/models")
        assert "It ranks better." in page.inner_text("main")
