"""Writes the table of docs/security.md from the table of routes; a test compares the two.

Run `python -m fivefold.serving.v1.permissions_page docs/security.md` after a change of routes.
"""

import sys
from pathlib import Path

from fivefold.domain.files import replacing
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.usecases.shared.actors import Role

BEGIN, END = "<!-- routes: begin -->", "<!-- routes: end -->"
_MAY, _MAY_NOT = "yes", "–"


def rights_markdown() -> str:
    """Write every route with every role as a table."""
    head = ["route", *Role, "what"]
    lines = [_line(head), _line(["---", *(":-:" for _ in Role), "---"])]
    return "\n".join([*lines, *(_line(_cells(route)) for route in ROUTES)])


def page_with(table: str, page: str) -> str:
    """Put the table into the page, between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _cells(route: Route) -> list[str]:
    rights = [_MAY if role in route.roles else _MAY_NOT for role in Role]
    return [f"`{route.method} {route.path}`", *rights, route.summary]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the table into the page that is the first argument."""
    path = Path(sys.argv[1])
    page = page_with(rights_markdown(), path.read_text(encoding="utf-8"))
    with replacing(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
