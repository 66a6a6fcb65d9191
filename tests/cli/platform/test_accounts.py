"""`fivefold members`, and the tokens that belong to them."""

import re
from pathlib import Path

import pytest

from tests.cli.running import cells, refuse, run, succeed


def test_the_life_of_a_member(tmp_path: Path) -> None:
    assert succeed(tmp_path, "members", "add", "Zoë [ops]", "--role", "publisher", "--role", "approver") == (
        "Zoë [ops] is member 1: approver, publisher.\n"
    )
    made = run(tmp_path, "tokens", "create", "--role", "publisher", "--member", "Zoë [ops]")
    assert re.fullmatch(r"\S{20,}\n", made.out), made
    listed = succeed(tmp_path, "tokens", "list", columns=160)
    assert re.search(r"^1 +default +publisher +trial +live .* Zoë \[ops\]", listed, re.MULTILINE), listed

    assert succeed(tmp_path, "members", "roles", 1, "--role", "admin") == "Zoë [ops] is now admin.\n"
    assert "does not have the role publisher" in refuse(
        tmp_path, "tokens", "create", "--role", "publisher", "--member", "Zoë [ops]"
    )
    assert re.search(r"^1 .* revoked ", succeed(tmp_path, "tokens", "list", columns=160), re.MULTILINE)
    succeed(tmp_path, "members", "leave", 1)
    (row,) = cells(succeed(tmp_path, "members", "list"), "Members")
    assert row[:3] == ["1", "Zoë [ops]", "admin"]
    assert len(row) == 5, "since, and left"
    shown = succeed(tmp_path, "audit", "show", columns=200)
    for action in ("member.added", "member.roles_set", "member.left"):
        assert re.search(rf"cli:\S+ +{re.escape(action)} +member 1", shown), action


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "Zoë", "--role", "king"], "the roles are king; a member has one or more of admin, approver"),
        (["leave", "7"], "there is no member 7"),
        (["roles", "7", "--role", "admin"], "there is no member 7"),
        (["list", "--organisation", "acme"], "there is no organisation 'acme'"),
    ],
)
def test_what_members_refuses(arguments: list[str], words: str, tmp_path: Path) -> None:
    run(tmp_path, "members", "add", "Ana", "--role", "admin")
    assert words in refuse(tmp_path, "members", *arguments)


def test_rates_are_shown_with_ten_digits_as_where_they_are_proposed(tmp_path: Path) -> None:
    run(tmp_path, "import", "setup", "fatf-retail")
    shown = succeed(tmp_path, "rates", "show", columns=160)
    assert re.search(r"^USD +\d\.\d{8,10} ", shown, re.MULTILINE), shown
