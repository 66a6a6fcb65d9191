"""Two administrators give a member a token, and one revokes it: in a real browser, with scripts and without."""

from typing import TYPE_CHECKING, Any

from tests.browser.conftest import Served, in_looks
from tests.browser.test_console import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOKENS = "/console/administration/tokens"


def half(page: "Page") -> str:
    """The half of a secret that is on the page, which no address and no other page has."""
    shown = page.input_value("#half")
    assert len(shown) > 30
    assert shown not in page.url
    page.click("main a:has-text('I have noted it')")
    assert shown not in page.content()
    return shown


@in_looks(("dark", True))
def test_a_member_is_invited_gets_a_token_and_loses_it(
    browser: "Browser", served: Served, look: dict[str, Any]
) -> None:
    served.place.tokens["bank", "deputy"] = served.place.join("the deputy", "admin")[0]
    with visiting(browser, served, "admin", **look) as page:
        page.goto("/console/administration")
        page.fill("#name", "Zoë")
        page.check("input[name=role_investigator]")
        page.click("form[action$='/add-member'] button")
        assert "The member is added" in page.inner_text("[role=status]")
        page.click("a:has-text('Request a token')")
        zoe = page.get_attribute("#member option:has-text('Zoë, member '):has-text('(investigator)')", "value")
        page.select_option("#member", zoe)
        page.select_option("#role", "investigator")
        page.click("form[action$='/ask'] button")
        first = half(page)
    with visiting(browser, served, "deputy", **look) as page:
        page.goto(TOKENS)
        page.click("article:has-text('Zoë') form[action$='/approve'] button")
        second = half(page)
    served.place.tokens["bank", "zoe"] = f"{first}.{second}"
    with visiting(browser, served, "zoe", **look) as hers:
        assert hers.url.endswith("/console/queue")
        with visiting(browser, served, "admin", **look) as page:
            page.goto(TOKENS)
            page.click("tr:has-text('Zoë'):has-text('live') form[action$='/revoke'] button")
            assert "The token is revoked" in page.inner_text("[role=status]")
        hers.goto("/console/queue")
        assert "/console/sign-in" in hers.url
