"""Lists of the console: none ends without a word where it goes on."""

import re
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import pytest

from fivefold import console
from fivefold.console.filters import Listing
from fivefold.console.levels.customer import CustomerPage
from fivefold.domain.paging import Page
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

BEGAN_EARLIER = "A list on this page does not start at its first row."
ROOM = Path(console.__path__[0])
CUSTOMER = {
    "cases": "whole(records, name, all)",
    "alerts": "whole(records, name, all)",
    "transactions": "page.address }}/transactions",
    "events": "page.address }}/timeline",
    "runs": "/console/flow-runs?",
}
"""What leads to the whole of the short lists of a customer's page, which has no next page itself."""


def pages_of_lists() -> list[tuple[type, ModuleType, list[str]]]:
    """Every class of what a page shows that has lists which are read in parts, with the names of these."""
    found = []
    for info in walk_packages(console.__path__, "fivefold.console."):
        module = import_module(info.name)
        for each in vars(module).values():
            if isinstance(each, type) and is_dataclass(each) and each.__module__ == info.name:
                lists = [one.name for one in fields(each) if _is_page(one.type)]
                if lists and each is not Listing:
                    found.append((each, module, lists))
    return found


def _is_page(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) in (Page, Listing)


def _words_in(folder: Path) -> str:
    return "".join(template.read_text(encoding="utf-8") for template in sorted(folder.rglob("*.html")))


def test_every_list_that_is_read_in_parts_leads_on_or_says_that_there_is_more() -> None:
    silent, all_words = {}, _words_in(ROOM)
    for page, module, lists in pages_of_lists():
        names = {one.name for one in fields(page)}
        words = _words_in(ROOM / module.__name__.split(".")[2])
        elsewhere = CUSTOMER if page is CustomerPage else {}
        without = [
            name
            for name in lists
            if elsewhere.get(name, "\0") not in all_words
            and not (f"next_{name}" in names and f"page.next_{name}" in words)
            and not re.search(rf"\b{name}\.next\b|\bwhole\(\w+\.{name},", words)
        ]
        if len(without) > ("next" in names):
            silent[page.__qualname__] = without
    assert silent == {}


@pytest.mark.parametrize(
    ("address", "filters", "more"),
    [
        ("/console/operations/audit", "", "after="),
        ("/console/administration/tokens", "", "after_waiting="),
        ("/console/search", "text=more", "after="),
    ],
)
def test_a_page_whose_list_began_earlier_says_so_and_leads_to_the_first_row(
    place: Place, address: str, filters: str, more: str
) -> None:
    for number in range(60):
        wanted = {"role": "app", "plan": "trial", "label": f"till {number}"}
        place.good("POST", "/v1/token-requests", wanted, role="admin")
        if address == "/console/search":
            body = {"attributes": {"country": "NO"}}
            place.good("PUT", f"/v1/entities/customer/more{number}", body, role="app")
    visitor = Visitor(place).sign_in("admin").go(f"{address}?{filters}")
    assert BEGAN_EARLIER not in visitor.text
    (following,) = [link for link in visitor.links() if more in link]
    visitor.go(following.replace("&amp;", "&"))
    assert visitor.text.count(BEGAN_EARLIER) == 1
    assert (
        f'<a href="{address}{"?" if filters else ""}{filters}" rel="first">From the beginning</a>' in visitor.page.text
    )


def test_a_part_of_no_list_is_said_without_a_word_of_its_rows(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin").go("/console/operations/audit?after=nonsense")
    assert visitor.page.status_code == 422
    assert BEGAN_EARLIER not in visitor.text
