"""`fivefold rules reference`: peers as a list, read by `rules assess`."""

import json
from pathlib import Path
from typing import Any

import pytest

from fivefold.usecases.portfolio_files import reference
from tests.cli.rules_files import write_files
from tests.cli.running import Home, refuse, run, succeed

RULES = """
ruleset: tiny
entity_type: customer
fields: {segment: text}
reference: our-peers
applies_to: {not: {field: segment, equals: staff}}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules:
  - id: turnover
    title: Turnover
    category: transaction execution
    input: {peer_percentile: {of: {sum: amount, over: 30 days}, among: {field: segment}}}
    cases: [{when: {at_least: 90}, points: 20}]
"""
ENTITIES = "entity_id,segment\n" + "".join(f"r{n},retail\n" for n in range(40)) + "s,staff\nb,sme\nn,\n"
ROWS = "user_id,transaction_amount,transaction_currency,transaction_date\n" + "".join(
    f"r{n},{n + 1},EUR,2024-06-20\n" for n in range(40)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, RULES, ENTITIES, ROWS)


def files(folder: Path, command: str, *more: str | Path) -> tuple[str | Path, ...]:
    return (
        "rules",
        command,
        folder / "rules.yaml",
        folder / "entities.csv",
        "--transactions",
        folder / "rows.csv",
        *more,
    )


def test_peers_are_written_once_and_read_for_whoever_is_assessed(home: Home, folder: Path) -> None:
    output = folder / "our-peers.json"
    told = succeed(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", output))
    assert "of 41 as of 2024-07-01" in told  # neither staff nor who may be of them
    assert " ".join(told.split()).startswith(
        "number among groups too small known unknown unreadable sum of amount in 30 days segment 1 1 41 0 0"
    )
    breakdowns = folder / "breakdowns.jsonl"
    shown = ("--as-of", "2024-07-10", "--reference", output, "--breakdowns", breakdowns)
    assert run(home, *files(folder, "assess", *shown)).code == 1  # of one it is unknown whether he is judged
    rows = [json.loads(line) for line in breakdowns.read_text().splitlines()]
    seen = {row["entity"]: row["rules"][0]["seen"] for row in rows}
    assert "38.00 EUR, higher than 92.5 % of 40 peers in segment retail (reference 2024-07-01)" in seen["r37"]
    assert "only 1 peer in segment sme" in seen["b"]
    assert "segment is unknown" in seen["n"]


def test_peers_whose_numbers_cannot_be_read_are_counted_named_and_kept_in_the_version(home: Home, folder: Path) -> None:
    """They were left out in silence, so the others stood higher than they are."""
    rows = folder / "rows.csv"
    paid = "r39,40,EUR,2024-06-20"
    assert paid in rows.read_text()
    rows.write_text(rows.read_text().replace(paid, "r39,40,XTS,2024-06-20"))
    output = folder / "our-peers.json"
    done = run(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", output))
    assert done.code == 1
    assert "sum of amount in 30 days segment 1 1 40 0 1" in " ".join(done.out.split())
    (said,) = [line for line in done.err.splitlines() if "could not be read" in line]
    assert "among segment: 1 of 41 could not be read as of 2024-07-01, so places among the others" in said
    assert "transaction_currency is XTS" in said
    head, *groups = map(json.loads, json.loads(output.read_text())["versions"][0]["members"])
    assert "unreadable" not in head
    assert {group["group"]: group.get("unreadable") for group in groups} == {"retail": 1, "sme": None}


def test_who_asks_for_times_a_median_of_nothing_is_warned(home: Home, folder: Path) -> None:
    rules = folder / "rules.yaml"
    percentile = "peer_percentile: {of: {sum: amount, over: 30 days}"
    rules.write_text(rules.read_text().replace(percentile, "times_peer_median: {of: {sum: amount, over: 10 days}"))
    first = run(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", folder / "our-peers.json"))
    warning = "sum of amount in 10 days over the peers' median is unknown for everyone in segment retail"
    assert (first.code, warning in " ".join(first.err.split())) == (0, True)
    rules.write_text(rules.read_text().replace("over: 10 days", "over: 30 days"))
    again = run(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", folder / "later.json"))
    assert (again.code, "unknown for everyone in segment retail" in " ".join(again.err.split())) == (0, False)


def test_a_reference_of_other_numbers_or_another_currency_is_warned_of(home: Home, folder: Path) -> None:
    output, now = folder / "our-peers.json", ("--as-of", "2024-07-10")
    succeed(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", output))
    assert "peers" not in run(home, *files(folder, "assess", *now, "--reference", output)).err
    dollars = run(home, *files(folder, "assess", *now, "--reference", output, "--base", "USD"))
    assert (dollars.code, "our-peers is in EUR, and this one in USD" in dollars.err) == (1, True)
    (folder / "rules.yaml").write_text(RULES.replace("over: 30 days", "over: 60 days"))
    others = run(home, *files(folder, "assess", *now, "--reference", output))
    assert (others.code, "has no numbers for sum of amount in 60 days" in others.err) == (1, True)


def test_a_version_is_added_and_none_is_changed(home: Home, folder: Path) -> None:
    output = folder / "our-peers.json"
    for day in ("2024-07-01", "2024-07-05"):
        succeed(home, *files(folder, "reference", "--as-of", day, "--output", output))
    assert [each["since"][:10] for each in json.loads(output.read_text())["versions"]] == ["2024-07-01", "2024-07-05"]
    before = output.read_bytes()
    again = succeed(home, *files(folder, "reference", "--as-of", "2024-07-05", "--output", output))
    assert "The file had this version already, and stays as it was." in again
    (folder / "rows.csv").write_text(ROWS.replace("EUR", "USD"))
    for day in ("2024-07-05", "2024-07-03"):
        assert "later moment" in refuse(home, *files(folder, "reference", "--as-of", day, "--output", output))
    assert output.read_bytes() == before
    assert not list(folder.glob("*.lock")) + list(folder.glob(".*"))


def test_a_version_that_another_process_adds_meanwhile_stays(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = folder / "our-peers.json"
    make = reference.make_reference

    def meanwhile(*arguments: Any) -> reference.MadeReference:
        monkeypatch.setattr(reference, "make_reference", make)
        new = make(*arguments)
        succeed(home, *files(folder, "reference", "--as-of", days[1], "--output", output))
        return new

    for days in (("2024-07-05", "2024-07-01"), ("2024-07-10", "2024-07-12")):
        monkeypatch.setattr(reference, "make_reference", meanwhile)
        done = run(home, *files(folder, "reference", "--as-of", days[0], "--output", output))
        assert (done.code, "later moment" in done.err) == ((2, True) if days[0] < days[1] else (0, False))
    versions = [each["since"][:10] for each in json.loads(output.read_text())["versions"]]
    assert versions == ["2024-07-01", "2024-07-05", "2024-07-12"]


def test_without_it_nobody_is_assessed(home: Home, folder: Path) -> None:
    assert "list our-peers: is missing" in refuse(home, *files(folder, "assess", "--as-of", "2024-07-10"))
    other = folder / "other.yaml"
    other.write_text("list: our-peers\ntitle: t\nsource: s\nversions: [{since: 2020-01-01, members: [NO]}]\n")
    assert "which is not a reference portfolio called our-peers" in refuse(
        home, *files(folder, "reference", "--as-of", "2024-07-05", "--output", other)
    )
    plain = folder / "plain.yaml"
    plain.write_text(
        RULES.replace(
            "{peer_percentile: {of: {sum: amount, over: 30 days}, among: {field: segment}}}", "{count: transactions}"
        )
    )
    words = (
        "rules",
        "reference",
        plain,
        folder / "entities.csv",
        "--as-of",
        "2024-07-01",
        "--output",
        folder / "x.json",
    )
    assert "places nothing among peers" in refuse(home, *words)


def test_without_its_reference_it_is_said_where_one_comes_from(home: Home, folder: Path) -> None:
    refused = refuse(home, *files(folder, "assess", "--as-of", "2024-07-10"))
    assert "list our-peers: is missing" in refused
    assert "made by fivefold rules reference, and given by --reference" in refused
    (folder / "rules.yaml").write_text(RULES.replace("equals: staff", "in_list: nobody"))
    other = refuse(home, *files(folder, "reference", "--as-of", "2024-07-10", "--output", folder / "p.json"))
    assert "list nobody: is missing" in other
    assert "--reference" not in other


def test_a_table_for_a_ruleset_with_peers_says_where_a_reference_comes_from(home: Home, folder: Path) -> None:
    table = folder / "t.csv"
    succeed(home, "rules", "table", "export", folder / "rules.yaml", "turnover", "--to", table)
    asked = ("rules", "table", "import", folder / "rules.yaml", "turnover", table, "--output", folder / "draft.yaml")
    noted = " ".join(run(home, *asked).err.split())
    comes_from = "a reference portfolio is made by fivefold rules reference, and given by --reference."
    assert f"No list our-peers was found; {comes_from}" in noted
    assert "--lists names the folder" not in noted


def test_examples_give_places_that_there_are(home: Home, folder: Path) -> None:
    text = RULES + "examples:\n  - {name: a, given: {peers: {turnover: %s}}, expect: {level: low}}\n"
    for place, is_doubted in (("0", False), ("100", False), ("100.1", True), ("198", True), ("-1", True)):
        (folder / "rules.yaml").write_text(text % place)
        linted = run(home, "rules", "lint", folder / "rules.yaml")
        assert (f"the place {place} among peers; there is 0 to 100 percent" in linted.out + linted.err) == is_doubted
    (folder / "rules.yaml").write_text(text.replace("peer_percentile", "times_peer_median") % "198")
    assert "among peers; there is" not in run(home, "rules", "lint", folder / "rules.yaml").out


def test_a_file_that_no_folder_of_lists_would_show_is_refused(home: Home, folder: Path) -> None:
    said = refuse(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", folder / "our-peers.txt"))
    assert "must end in .yaml, .yml, .json" in said
    assert not (folder / "our-peers.txt").exists()


def test_peers_are_those_on_whom_the_ruleset_decides(home: Home, folder: Path) -> None:
    """Who turns over 11 or more is decided on by another ruleset, which places nobody among peers."""
    large = RULES.replace("ruleset: tiny", "ruleset: large").replace("reference: our-peers\n", "")
    large = large.replace("{not: {field: segment, equals: staff}}", "{sum: amount, over: 30 days, at_least: 11}")
    large = large.replace(
        "{peer_percentile: {of: {sum: amount, over: 30 days}, among: {field: segment}}}", "{field: segment}"
    )
    (folder / "large.yaml").write_text(large.replace("{at_least: 90}", "{equals: retail}"))
    output = folder / "our-peers.json"
    done = run(
        home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", output, "--first", folder / "large.yaml")
    )
    assert done.code == 0, done
    assert "of 11 as of 2024-07-01" in done.out, "ten of retail, and one of sme"
    assert "30 entities on whom other rulesets decide are left out: large 30." in " ".join(done.err.split())


def test_a_validation_takes_peers_and_the_moment_that_drift_is_since(home: Home, folder: Path) -> None:
    output, evidence = folder / "our-peers.json", folder / "evidence.json"
    succeed(home, *files(folder, "reference", "--as-of", "2024-06-01", "--output", output))
    (folder / "labels.csv").write_text("entity_id,at\nr39,2024-07-20\n")
    portfolio = ("--data", folder / "entities.csv", "--transactions", folder / "rows.csv")
    asked = ("rules", "validate", folder / "rules.yaml", *portfolio, "--labels", folder / "labels.csv")
    asked = (*asked, "--as-of", "2024-07-10", "--reference", output)
    assert run(home, *asked, "--json", evidence).code == 0
    plain = json.loads(evidence.read_text())
    assert (plain["lists"], plain["stability"]) == ({"our-peers": ["2024-06-01"]}, [])
    early = run(home, *asked, "--reference", "2024-05-20", "--json", evidence)
    assert (early.code, json.loads(evidence.read_text())["stability"]) == (0, [])
    caution = (
        "Drift since 2024-05-20 is not measured: the reference portfolio our-peers has no version before 2024-06-01. "
        "Write it anew with fivefold rules reference, first with --as-of 2024-05-20, then with each later moment."
    )
    assert caution in json.loads(evidence.read_text())["cautions"]
    plain_rules = RULES.replace("tiny", "rest").replace("reference: our-peers\n", "")
    peers = "{peer_percentile: {of: {sum: amount, over: 30 days}, among: {field: segment}}}"
    by_segment = plain_rules.replace(peers, "{field: segment}").replace("at_least: 90", "equals: sme")
    (folder / "rest.yaml").write_text(by_segment)
    beside = ("--then", folder / "rest.yaml", "--reference", "2024-05-20", "--json", evidence)
    assert run(home, *asked, *beside).code == 0
    assert caution in json.loads(evidence.read_text())["cautions"]
    assert run(home, *asked, "--reference", "2024-06-20", "--json", evidence).code == 0
    assert {each["factor"] for each in json.loads(evidence.read_text())["stability"]} >= {"Turnover", "total", "level"}
    assert "2024-01-01 and 2024-02-01; drift is measured since one" in refuse(
        home, *asked, "--reference", "2024-01-01", "--reference", "2024-02-01"
    )
    assert "'their-peers.json'; it must be an ISO 8601 date" in refuse(home, *asked, "--reference", "their-peers.json")


def test_the_peers_of_another_ruleset_place_nobody(home: Home, folder: Path) -> None:
    lists, now = folder / "lists", ("--as-of", "2024-07-10")
    lists.mkdir()
    output = lists / "our-peers.json"
    succeed(home, *files(folder, "reference", "--as-of", "2024-07-01", "--output", output))
    before = output.read_bytes()
    said = " ".join(succeed(home, "rules", "lint", folder / "rules.yaml", "--lists", lists).split())
    assert "its peers are" not in said
    for word, other in (("ruleset: tiny", "ruleset: large"), ("type: customer", "type: account")):
        (folder / "rules.yaml").write_text(RULES.replace(word, other))
        for command, *more in (("assess", "--reference", output), ("assess", "--lists", lists)):
            refused = refuse(home, *files(folder, command, *now, *more))
            assert "its peers are those of the ruleset tiny, of type customer. fivefold rules reference" in refused
        refused = refuse(home, *files(folder, "reference", *now, "--output", output))
        assert "has the list our-peers, and its peers are those of the ruleset tiny, of type customer" in refused
        assert output.read_bytes() == before
        linted = run(home, "rules", "lint", folder / "rules.yaml", "--lists", lists)
        assert (linted.code, "of type customer: name another list" in " ".join(linted.out.split())) == (1, True)
        succeed(home, *files(folder, "reference", *now, "--output", folder / f"{len(other)}.json", "--lists", lists))
    unsaid = before.decode().replace(r",\"ruleset\":\"tiny\",\"entity_type\":\"customer\"", "")
    output.write_text(unsaid)
    assert unsaid != before.decode()
    assert "its peers are" not in run(home, *files(folder, "assess", *now, "--reference", output)).err
