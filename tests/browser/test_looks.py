"""Pages in the reader's own colours, on a narrow screen and on paper."""

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import pytest

from fivefold.charts.bars import level_steps, waterfall_bars
from fivefold.charts.steps import SCORE_AXIS
from fivefold.console.rendering import HERE, environment
from fivefold.console.table import VIEWS
from fivefold.domain.breakdown import Breakdown, Contribution
from tests.browser.conftest import Served
from tests.browser.test_console import ACME, visiting
from tests.browser.test_reasons import beside_the_browser
from tests.console.test_rights import PARTS
from tests.serving.v1.examples import CUSTOMER
from tests.usecases.platforms import transaction

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.full

LOOK = "(node, name) => getComputedStyle(node)[name]"


COMPUTED = (
    "all => all.map(each => [each.className.baseVal, getComputedStyle(each).fill, getComputedStyle(each).stroke])"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_every_mark_is_seen_and_its_kind_is_told_without_colour(
    browser: "Browser", scheme: Literal["light", "dark"]
) -> None:
    macros: Any = environment().get_template("shared/macros.html").make_module({"visit": None, "now_us": 0})
    parts = tuple(Contribution(name, "", 1.0, "", points, "") for name, points in (("more", 0.8), ("less", -0.5)))
    bars = waterfall_bars(Breakdown(2.0, parts), base_label="start", total_label="score", axis=SCORE_AXIS)
    steps = level_steps(("low", "high"), "high", "low")
    context = browser.new_context(forced_colors="active", color_scheme=scheme)
    page = context.new_page()
    page.set_content(str(macros.waterfall(bars, "title", "text", "name")) + str(macros.scale(steps, "title")))
    page.add_style_tag(content=(HERE / "static" / "console.css").read_text(encoding="utf-8"))
    paper = page.locator("body").evaluate(LOOK, "background-color")
    looks = {kind: (fill, stroke) for kind, fill, stroke in page.locator("svg.waterfall rect").evaluate_all(COMPUTED)}
    assert set(looks) == {"whole", "up", "down"}
    assert len(set(looks.values())) == len(looks), "kinds differ"
    assert all(fill != paper or stroke not in {"none", paper} for fill, stroke in looks.values())
    assert paper not in {stroke for _, _, stroke in page.locator("svg line").evaluate_all(COMPUTED)}
    holds = page.locator("svg.scale .step.holds").evaluate(LOOK, "fill")
    assert holds not in {paper, page.locator("svg.scale text.holds").evaluate(LOOK, "fill")}
    context.close()


def test_the_matrix_of_value_and_risk_speaks_of_colours_only_where_there_are_any(
    browser: "Browser", served: Served
) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto("/console/portfolio?type=customer")
        caption = page.locator("table.matrix caption")
        assert "The stronger the colour, the more customers." in caption.inner_text()
        page.emulate_media(forced_colors="active")
        assert caption.inner_text().strip() == "Customers and their expected value."


def test_what_is_wider_than_the_screen_says_so_and_is_reached_by_keyboard(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator", viewport={"width": 360, "height": 800}) as page:
        page.goto(ACME)
        wide = page.locator(".wide").filter(has=page.locator("table.timeline"))
        assert wide.evaluate("node => node.scrollWidth > node.clientWidth")
        assert wide.evaluate(LOOK, "background-attachment") == "local, local, scroll, scroll"
        assert page.get_by_role("region", name="What happened").filter(has=page.locator("table")).count()
        wide.focus()
        page.keyboard.press("ArrowRight")
        moved = "node => new Promise(done => (function look() { node.scrollLeft ? done() : setTimeout(look, 20); })())"
        wide.evaluate(moved)


def test_on_a_wide_screen_the_last_column_of_a_list_is_seen_and_a_button_stands_beneath_its_text(
    browser: "Browser", served: Served
) -> None:
    hidden = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth).map(node => node.ariaLabel)"
    listed = ("administration/tokens", "administration/members/1", "administration/usage", "models", "validation")
    long = {
        "transaction_id": "user_6_20261101T120000_EUR_0001",
        "transaction_amount": 1_234_567.5,
        "shop": "c-12345-67890",
    }
    body = [transaction(2, CUSTOMER, **long)]
    beside_the_browser(lambda: served.place.good("POST", "/v1/transactions", body, role="app"))
    customer = f"entities/customer/{quote(CUSTOMER, safe='')}/transactions?since=2026-10-01&until=2026-11-30"
    with visiting(browser, served, "admin", viewport={"width": 1280, "height": 800}) as page:
        for address in (*listed, "operations/audit", customer, "validation/1", "models/2"):
            page.goto(f"/console/{address}")
            assert page.locator(".wide").evaluate_all(hidden) == [], address
        page.goto("/console/proposals/5")
        reason, button = (page.locator(f"main {each}").first.bounding_box() for each in ("textarea", "button.main"))
        assert reason
        assert button
        assert button["y"] > reason["y"] + reason["height"]


def test_on_a_phone_boxes_can_be_pressed_and_pictures_be_read(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator", viewport={"width": 360, "height": 800}) as page:
        page.goto("/console/queue")
        boxes = [each.bounding_box() for each in page.locator("main input[type=checkbox]").all()]
        assert boxes
        assert all(box is None or min(box["width"], box["height"]) >= 24 for box in boxes)
        page.goto("/console/entities/customer/c%2F1%20%C3%A4")
        small = [words for words, points in page.evaluate(SMALL.replace("7.99", "7.5")) if words]
        assert page.locator("svg.waterfall").count()
        assert small == []


def test_a_reason_without_a_space_does_not_widen_the_page(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator", viewport={"width": 360, "height": 800}) as page:
        page.goto(ACME)
        page.get_by_text("Request an override").click()
        page.locator("textarea#reason").fill("y" * 1900)
        page.get_by_role("button", name="Request", exact=True).click()
        page.get_by_text("The override is requested.").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_small_graph_of_a_flow_is_no_larger_on_paper_than_on_the_screen(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "publisher", viewport={"width": 1000, "height": 800}) as page:
        page.goto("/console/flows/care")
        graph = page.locator("svg.graph")
        on_screen = graph.evaluate("node => node.getBoundingClientRect().width")
        page.emulate_media(media="print")
        assert graph.evaluate("node => node.getBoundingClientRect().width") == on_screen


def test_on_paper_there_is_what_was_asked_for_and_nothing_to_press(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator", color_scheme="dark") as page:
        for path in (ACME, "/console/queue"):
            page.goto(path)
            page.emulate_media(media="print")
            assert page.locator("main table").first.is_visible()
            assert page.locator("h1").is_visible()
            for hidden in (
                "header",
                "#announced",
                "button",
                "a.button",
                "nav:not(.tabs)",
                "main form:not(.filter, :has(table))",
            ):
                assert not [each for each in page.locator(hidden).all() if each.is_visible()], (path, hidden)
            ink = page.locator("body").evaluate(LOOK, "color")
            assert ink == "rgb(31, 41, 55)", "dark on paper, also for who reads light on dark"
            cut = "nodes => nodes.filter(node => getComputedStyle(node).overflowX != 'visible').length"
            assert page.locator(".wide").evaluate_all(cut) == 0
            page.emulate_media(media="screen")


def test_paper_says_whose_it_is_what_was_chosen_and_that_there_is_more(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "admin") as page:
        page.goto("/console/queue?level=low&days=1")
        page.emulate_media(media="print")
        paper = page.locator("main").inner_text()
        assert "the admin" in paper
        assert f"{served.address}/console/queue?level=low&days=1" in paper
        chosen = page.locator("main select:visible").evaluate_all(
            "all => all.map(each => each.selectedOptions[0].text)"
        )
        assert chosen == ["Low", "in the last 24 hours", "due first"]
        page.goto("/console/operations/audit")
        assert page.locator("a[rel=next]").count() == 1
        assert page.get_by_text("There are more rows than are shown here.").is_visible()


def test_a_closed_part_is_on_paper_unless_it_is_a_form(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "admin") as page:
        page.goto("/console/operations/audit")
        page.emulate_media(media="print")
        part = page.locator("td details").first
        assert part.get_attribute("open") is None
        assert part.inner_text()
        for address, forms in ((ACME, "details:has(form)"), ("/console/flows/care/edit", "form details:has(button)")):
            page.goto(address)
            asked = page.locator(forms)
            assert asked.count(), address
            assert not [each for each in asked.all() if each.is_visible()], address


def test_paper_names_no_filter_that_was_not_chosen(browser: "Browser", served: Served) -> None:
    beside_the_browser(lambda: served.place.good("PUT", "/v1/entity-types/company", {"fields": {}}, role="admin"))
    with visiting(browser, served, "admin") as page:
        page.emulate_media(media="print")
        for address in ("/console/flow-runs?state=ended", "/console/decisions?type=company"):
            page.goto(address)
            assert page.locator("select#type").count(), address
            assert not page.locator("select#type").is_visible(), address
            page.goto(f"/console/{page.url.split('/console/')[1].partition('?')[0]}?external_id=nobody")
            assert page.locator("select#type").input_value() == "customer"
            assert page.locator("select#type").is_visible()
        page.goto("/console/flows/care")
        assert not page.locator("select#through").is_visible()
        page.goto("/console/flows/care?customer=c%2F1%20%C3%A4")
        assert page.locator("select#through").is_visible()


def test_on_paper_closed_families_of_a_customer_are_left_out_and_short_names_are_not_broken(browser: "Browser") -> None:
    table = (
        '<div class="wide"><table class="indicators"><tbody><tr><th scope="row">busiest_weekday_share_365d</th>'
        f'<td class="why">{"word " * 40}</td><td class="number">1,234,567</td></tr></tbody></table></div>'
    )
    page = browser.new_page(viewport=PAPER)
    page.emulate_media(media="print")
    page.set_content(f'<main><details class="long">{table}</details><details>{table}</details></main>')
    page.add_style_tag(content=(HERE / "static" / "console.css").read_text(encoding="utf-8"))
    seen = [each for each in page.locator("th").all() if each.is_visible()]
    assert len(seen) == 1
    assert seen[0].evaluate(LINES) == 1
    page.close()


PAPER = {"width": 680, "height": 960}
"""What A4 has between margins of 15 mm, in pixels of CSS."""
LINES = """node => { const range = document.createRange(); range.selectNodeContents(node);
    return new Set([...range.getClientRects()].map(each => each.top)).size; }"""
"""In how many lines a text stands."""
CUT = (
    "nodes => nodes.filter(node => node.getClientRects().length && node.getBoundingClientRect().right > 681)"
    ".map(node => node.textContent.trim().slice(0, 60))"
)


SMALL = """() => [...document.querySelectorAll('main :is(svg:not(.graph) text, tspan, td, th, small, p)')]
    .filter(node => node.getClientRects().length && node.textContent.trim())
    .map(node => { const picture = node.closest('svg');
        const scale = picture ? picture.getBoundingClientRect().width / picture.viewBox.baseVal.width : 1;
        return [node.textContent.trim().slice(0, 40), parseFloat(getComputedStyle(node).fontSize) * scale * .75]; })
    .filter(([_, points]) => points < 7.99)"""
"""What is smaller than 8 points; but in graphs of flows, which are as wide as they are."""


def test_on_paper_no_table_is_cut_and_nothing_too_small_to_read_on_any_page(browser: "Browser", served: Served) -> None:
    """The models have the most numbers beside each other on version 2, which was judged against another one."""
    addresses = [view.path.format(**PARTS) for view in VIEWS if view.method == "GET"]
    looked_at = 0
    with visiting(browser, served, "admin", viewport=PAPER) as page:
        page.emulate_media(media="print")
        for address in (*addresses, "/console/models/2"):
            page.goto(address)
            tables = page.locator("main .wide > table")
            looked_at += tables.count() > 0
            assert page.locator("main table").evaluate_all(CUT) == [], address
            assert page.evaluate(SMALL) == [], address
    assert looked_at >= 30


HASHES = "0123456789abcdef" * 8


def test_a_long_identifier_and_a_long_name_push_no_column_away(browser: "Browser", served: Served) -> None:
    def name_them() -> None:
        fields = {"fields": {"country": "country", "name": "text"}}
        served.place.good("PUT", "/v1/entity-types/customer", fields, role="admin")
        for name in (HASHES[:64], HASHES[:120]):
            path = f"/v1/entities/customer/{name}"
            body = {"attributes": {"country": "NO", "name": "A" * 220}}
            served.place.good("PUT", path, body, role="app")
            served.place.good("GET", f"{path}/risk?freshness=now", role="investigator")

    beside_the_browser(name_them)
    addresses = ("portfolio?type=customer", "search?text=0123", f"entities/customer/{HASHES[:120]}")
    with visiting(browser, served, "investigator", viewport=PAPER) as page:
        page.emulate_media(media="print")
        for address in addresses:
            page.goto(f"/console/{address}")
            assert page.locator("main table").evaluate_all(CUT) == [], address
            assert page.evaluate("document.documentElement.scrollWidth") == PAPER["width"], address
            heights = page.locator("td > .level").evaluate_all("nodes => nodes.map(node => node.offsetHeight)")
            assert all(height < 30 for height in heights), "no name of a level is broken"
    with visiting(browser, served, "investigator", viewport={"width": 1280, "height": 800}) as page:
        page.goto("/console/search?text=0123")
        edges = (
            "() => ['th:last-child', 'main'].map(each => document.querySelector(each).getBoundingClientRect().right)"
        )
        last, room = page.evaluate(edges)
        assert last <= room


def test_a_name_from_right_to_left_leaves_the_date_behind_it_where_it_is(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator") as page:
        page.goto(ACME)
        lefts = page.evaluate(
            """() => { const parts = [['i', '\u05d0\u05d1\u05d2'], ['time', '2026-11-28'], ['small', '1 day']].map(
                ([name, text]) => Object.assign(document.createElement(name), { textContent: text }));
            const line = document.createElement('p');
            line.append('requested by ', parts[0], ', ', parts[1], ', ', parts[2]);
            document.querySelector('main').prepend(line);
            return parts.map(each => each.offsetLeft); }"""
        )
        assert lefts == sorted(lefts)


def test_in_forced_colours_the_main_button_is_read_as_any_other(browser: "Browser", served: Served) -> None:
    with visiting(browser, served, "investigator", forced_colors="active", color_scheme="dark") as page:
        page.goto("/console/session")
        page.locator(".who").focus()  # so that the pointer is on neither
        main, other = (page.locator(f"main button{each}").first for each in (".main", ":not(.main)"))
        for name in ("color", "background-color"):  # on the colour of a marked text, its own text has a box of paper
            assert main.evaluate(LOOK, name) == other.evaluate(LOOK, name)


def test_text_of_twice_the_size_leaves_a_page_as_wide_as_a_phone(browser: "Browser", served: Served) -> None:
    look = {"viewport": {"width": 320, "height": 800}, "bypass_csp": True}
    with visiting(browser, served, "admin", **look) as page:
        for address in (
            "queue/overrides",
            "entities/customer/c%2F1%20%C3%A4",
            "validation/evidence/1",
            "flows/care/edit",
        ):
            page.goto(f"/console/{address}")
            page.add_style_tag(content=":root { font-size: 200%; }")
            assert page.evaluate("document.documentElement.scrollWidth") == 320, address


def test_on_a_phone_the_scores_above_the_scale_of_levels_are_not_cut(browser: "Browser") -> None:
    macros: Any = environment().get_template("shared/macros.html").make_module({"visit": None, "now_us": 0})
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.set_content(str(macros.scale(level_steps(("low", "high"), "high", "high", ("340",)), "title")))
    page.add_style_tag(content=(HERE / "static" / "console.css").read_text(encoding="utf-8"))
    top = "node => node.getBoundingClientRect().top"
    assert page.locator("text.small").first.evaluate(top) >= page.locator(".wide").evaluate(top)
    page.close()


def test_on_paper_what_stands_between_a_heading_and_its_table_goes_with_both(browser: "Browser") -> None:
    page = browser.new_page(viewport=PAPER)
    page.emulate_media(media="print")
    page.set_content('<h2>Cases</h2><p>Shares</p><div class="wide"></div><p>Text</p><summary>As a table</summary>')
    page.add_style_tag(content=(HERE / "static" / "console.css").read_text(encoding="utf-8"))
    kept = page.locator("h2, p, summary").evaluate_all("all => all.map(each => getComputedStyle(each).breakAfter)")
    assert kept == ["avoid", "avoid", "auto", "avoid"]
    page.close()
