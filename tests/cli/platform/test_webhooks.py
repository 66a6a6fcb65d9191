"""`fivefold webhooks`: a secret alone on standard output, lists without it, what was given up and sent again."""

import re
from pathlib import Path

import pytest
from sqlalchemy import text

from fivefold.store.sql.database import open_database
from fivefold.usecases.webhooks.dispatcher import deliver_due
from tests.cli.running import cells, refuse, run, succeed
from tests.usecases.webhooks.receivers import organisation, receiving, tell

URL = "https://hooks.example/fivefold"


def test_the_life_of_an_endpoint(tmp_path: Path) -> None:
    made = run(tmp_path, "webhooks", "add", URL, "--kind", "level.reached", "--kind", "group.left")
    assert re.fullmatch(r"whsec_[\w+/]{43}=\n", made.out), made
    assert made.err == "warning: this is endpoint 1; copy its secret now: it is not shown again\n"
    (row,) = cells(succeed(tmp_path, "webhooks", "list", columns=200), "Endpoints")
    assert row[:5] == ["1", URL, "group.left, level.reached", "enabled", "refused"]
    assert row[6:] == ["1", "0", "0", "0"]

    rotated = run(tmp_path, "webhooks", "rotate", 1)
    assert re.fullmatch(r"whsec_[\w+/]{43}=\n", rotated.out)
    assert rotated.out != made.out
    assert succeed(tmp_path, "webhooks", "drop-old", 1) == ("Endpoint 1 signs only with its newest secret; 1 ended.\n")
    run(tmp_path, "webhooks", "rotate", 1, "--at-once")
    assert succeed(tmp_path, "webhooks", "drop-old", 1).endswith("; 0 ended.\n")
    assert succeed(tmp_path, "webhooks", "disable", 1) == "Endpoint 1 is disabled.\n"
    assert cells(succeed(tmp_path, "webhooks", "list", columns=200), "Endpoints")[0][3] == "disabled"
    assert succeed(tmp_path, "webhooks", "enable", 1) == "Endpoint 1 is enabled.\n"
    assert succeed(tmp_path, "webhooks", "remove", 1) == ("Endpoint 1 is removed; 0 deliveries had been waiting.\n")
    assert cells(succeed(tmp_path, "webhooks", "list"), "Endpoints") == []
    shown = succeed(tmp_path, "audit", "show", columns=200)
    assert re.search(r"cli:\S+ +webhook\.added +endpoint 1", shown), shown
    assert "whsec_" not in shown


def test_what_was_given_up_is_seen_and_sent_again(tmp_path: Path) -> None:
    status = [410]
    with receiving(lambda _: status[0]) as receiver:
        run(tmp_path, "webhooks", "add", receiver.url, "--allow-private", "--organisation", "bank")
        engine = open_database(f"sqlite:///{tmp_path / 'fivefold.db'}")
        ours = organisation(engine)
        tell(engine, ours, ["c1-a", "c2-a"])
        deliver_due(engine)
        with engine.begin() as connection:
            connection.execute(text("UPDATE deliveries SET state = 'dead'"))
        listed = succeed(tmp_path, "webhooks", "dead", "--organisation", "bank", columns=200)
        first, second = cells(listed, "Dead letters")
        assert first[:5] == ["1", "1", "c1-a", "level.reached", "customer c1"]
        assert first[6:] == ["answered 410", "1"]
        assert second[2] == "c2-a"
        again = succeed(
            tmp_path, "webhooks", "dead", "--endpoint", 1, "--first", 1, "--organisation", "bank", columns=200
        )
        assert cells(again, "Dead letters") == [first]
        status[0] = 200
        assert succeed(tmp_path, "webhooks", "replay", 1, "--from", 2, "--to", 9, "--organisation", "bank") == (
            "1 delivery waits to be sent again.\n"
        )
        assert succeed(tmp_path, "webhooks", "replay", 1, "--organisation", "bank") == (
            "1 delivery waits to be sent again.\n"
        )
        assert deliver_due(engine) == 2
        engine.dispose()
        assert sorted(receiver.events(200)) == ["c1-a", "c2-a"]
    assert succeed(tmp_path, "webhooks", "replay", 1, "--organisation", "bank").startswith("0 deliveries wait")


def test_why_deliveries_wait_is_seen_before_they_are_given_up(tmp_path: Path) -> None:
    with receiving(lambda _: 302) as receiver:
        run(tmp_path, "webhooks", "add", URL)
        run(tmp_path, "webhooks", "add", receiver.url, "--allow-private", "--organisation", "bank")
        engine = open_database(f"sqlite:///{tmp_path / 'fivefold.db'}")
        tell(engine, organisation(engine), ["c1-a", "c2-a", "c2-b"])
        deliver_due(engine)
        engine.dispose()
    (row,) = cells(succeed(tmp_path, "webhooks", "list", "--organisation", "bank", columns=200), "Endpoints")
    assert row[-3:] == ["3", "2", "0"], "waiting, of them failing, dead"
    listed = succeed(tmp_path, "webhooks", "failing", "--organisation", "bank", columns=200)
    first, second = cells(listed, "Failing deliveries")
    assert first[:5] == ["2", "1", "c1-a", "level.reached", "customer c1"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", first[5])
    assert first[6:] == ["answered 302; redirects are not followed", "1 of 14"]
    assert second[2] == "c2-a"
    one = succeed(tmp_path, "webhooks", "failing", "--endpoint", 2, "--first", 1, "--organisation", "bank", columns=200)
    assert cells(one, "Failing deliveries") == [first]
    assert cells(succeed(tmp_path, "webhooks", "failing"), "Failing deliveries") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "hooks.example"], "it must be https://"),
        (["add", "http://127.0.0.1/"], "which is loopback; it must be a public one, or an operator must allow it"),
        (["add", URL, "--kind", "Level"], "there is no kind of event 'Level'; there are flow.acted"),
        (["rotate", "7"], "there is no endpoint 7"),
        (["drop-old", "7"], "there is no endpoint 7"),
        (["disable", "7"], "there is no endpoint 7"),
        (["enable", "7"], "there is no endpoint 7"),
        (["remove", "7"], "there is no endpoint 7"),
        (["dead", "--endpoint", "7"], "there is no endpoint 7"),
        (["failing", "--endpoint", "7"], "there is no endpoint 7"),
        (["replay", "7"], "there is no endpoint 7"),
        (["replay", "1", "--from", "3"], "--from and --to belong together"),
        (["replay", "1", "--from", "3", "--to", "2"], "the range begins at 3 and ends at 2"),
        (["list", "--organisation", "acme"], "there is no organisation 'acme'"),
    ],
)
def test_what_webhooks_refuses(arguments: list[str], words: str, tmp_path: Path) -> None:
    run(tmp_path, "webhooks", "add", URL)
    where = "in the organisation 'default' " if "no endpoint" in words else ""
    assert f"{where}{words}" in refuse(tmp_path, "webhooks", *arguments)


def test_a_worker_that_ends_says_what_failed(tmp_path: Path) -> None:
    with receiving(lambda _: 503) as receiver:
        run(tmp_path, "webhooks", "add", receiver.url, "--allow-private", "--organisation", "bank")
        engine = open_database(f"sqlite:///{tmp_path / 'fivefold.db'}")
        tell(engine, organisation(engine), ["c1-a", "c1-b", "c2-a"])
        engine.dispose()
        ended = succeed(tmp_path, "worker", "--once", "--quiet")
        assert ended.endswith("\n2 webhooks failed and will be tried again: `fivefold webhooks failing`.\n")
        succeed(tmp_path, "webhooks", "disable", 1, "--organisation", "bank")
        assert succeed(tmp_path, "worker", "--once", "--quiet").endswith("nothing is left to do.\n")
