"""`fivefold rules validate`, and the evidence files that it shares with others."""

import errno
import json
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from fivefold.cli.rules.evidence import show, show_evidence, write_evidence
from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.reports.page import ReportPage, ReportSection
from tests.cli.rules_files import AS_OF, made
from tests.cli.running import cells, refuse, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path)


def asked(folder: Path, *more: object) -> tuple[object, ...]:
    files = ("--data", folder / "people.parquet", "--labels", folder / "labels.csv")
    return ("rules", "validate", folder / "now.yaml", *files, *AS_OF, "--resamples", 100, *more)


def test_verdicts_are_shown_and_kept_as_evidence(folder: Path) -> None:
    files = ("--html", folder / "v.html", "--json", folder / "v.json")
    done = run(
        folder, *asked(folder, *files, "--against", folder / "draft.yaml", "--reference", "2024-04-01"), columns=250
    )
    assert done.code == 0, done
    rows = {row[0]: row[1] for row in cells(done.out, "Verdicts")}
    assert rows["Gini of the total"] == "met"
    assert rows["Confirmed in high and critical"] == "met"
    assert "Beside another ruleset" in done.out
    assert "warning: 60 entities could not be assessed in full" in done.err
    plain = json.loads((folder / "v.json").read_text())
    assert (plain["kind"], plain["population"]["confirmed"], plain["resamples"]) == ("validation", 120, 100)
    assert (folder / "v.html").read_text().count("<svg") == 3


def test_labels_of_before_or_after_do_not_count(folder: Path) -> None:
    late = run(folder, *asked(folder, "--until", "2024-08-01"))
    assert "Confirmed among the judged: 0" in late.out
    assert "too few labels" in late.out


def test_a_torn_label_leaves_out_whom_it_names(folder: Path) -> None:
    """Whether they were confirmed is not known, so they count neither as confirmed nor as not confirmed."""
    whole = run(folder, *asked(folder, "--json", folder / "whole.json"))
    assert whole.code == 0, whole.err
    labels = folder / "labels.csv"
    lines = labels.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if ",true," in line)
    lines[place] += ",more"
    labels.write_text("\n".join([*lines, "e0"]))
    done = run(folder, *asked(folder, "--json", folder / "torn.json"))
    assert done.code == 0, done.err
    assert f"row {place + 1}: line has 4 fields" in done.err
    words = " ".join((done.out + done.err).split())
    assert "Entities whose label cannot be read are left out: 1." in words
    assert "Labels that cannot be read and name no entity count as not confirmed: 1." in words
    before, after = (json.loads((folder / f"{name}.json").read_text())["population"] for name in ("whole", "torn"))
    assert after["confirmed"] == before["confirmed"] - 1


def test_undated_labels_need_a_word(folder: Path) -> None:
    pl.read_csv(folder / "labels.csv").drop("at").write_csv(folder / "labels.csv")
    assert "without a date in the column at" in refuse(folder, *asked(folder))
    said = run(folder, *asked(folder, "--undated-later"))
    assert "warning: 120 labels have no date" in said.err


def test_what_the_label_was_made_of_is_refused(folder: Path) -> None:
    assert "rule income: reads income: income is banned" in refuse(folder, *asked(folder, "--banned", "income"))
    misspelt = run(folder, *asked(folder, "--banned", "incme", "--banned", "something-else"))
    assert (misspelt.code, misspelt.err.count("which is banned; perhaps income was meant")) == (0, 1)
    text = (folder / "now.yaml").read_text()
    (folder / "now.yaml").write_text(text.replace("input: {field: income}", "input: {count: alerts, over: 90 days}"))
    columns = {"entity_id": ["e0000"], "opened": ["2024-05-01"], "closed": ["2024-05-02"], "outcome": ["confirmed"]}
    pl.DataFrame(columns).write_csv(folder / "alerts.csv")
    alerts = ("--alerts", folder / "alerts.csv")
    assert "alerts are what the labels are made of" in refuse(folder, *asked(folder, *alerts))
    assert run(folder, *asked(folder, *alerts, "--labels-from-elsewhere")).code == 0


def test_a_reference_after_as_of_is_refused(folder: Path) -> None:
    assert "--reference must be before --as-of" in refuse(folder, *asked(folder, "--reference", "2024-07-01"))


def test_labels_until_as_of_are_none_so_that_is_refused(folder: Path) -> None:
    assert "--until must be after --as-of" in refuse(folder, *asked(folder, "--until", "2024-07-01"))


def test_a_peers_figures_stand_beside(folder: Path) -> None:
    assert run(folder, *asked(folder, "--json", folder / "own.json")).code == 0
    done = run(folder, *asked(folder, "--peer", folder / "own.json"), columns=250)
    rows = {row[0]: row[1:] for row in cells(done.out, "Beside the figures of retail")}
    assert set(rows) == {
        "Gini of the total",
        "Gini of the level",
        "confirmed in the top levels",
        "confirmed below them",
        *(f"share of the level {level}" for level in ("(no level)", "low", "medium", "high", "critical")),
    }
    assert all(own == peer for own, peer, _ in rows.values())
    assert rows["confirmed below them"][2].startswith("0.0 % (-"), rows


def test_a_peer_without_figures_is_refused(folder: Path) -> None:
    (folder / "peer.json").write_text("{}")
    refuse(folder, *asked(folder, "--peer", folder / "peer.json"))
    refuse(folder, *asked(folder, "--peer", folder / "labels.csv"))


class Nothing:
    def to_dict(self) -> dict[str, str]:
        return {}


def test_evidence_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        write_evidence("nothing", Nothing(), ReportPage("t", [], [], []), tmp_path / "none" / "a.html", None)
    write_evidence("nothing", Nothing(), ReportPage("t", [], [], []), None, None)
    assert list(tmp_path.iterdir()) == []


def test_evidence_is_written_though_nobody_reads_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Console, "print", full)
    with pytest.raises(OSError, match="standard output") as caught:
        show_evidence("nothing", Nothing(), ReportPage("t", [], [], []), tmp_path / "b.html", tmp_path / "b.json")
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "b.html").exists()
    assert (tmp_path / "b.json").exists()


def test_words_without_a_table_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show(ReportPage("Title", [("fact", "value")], ["Beware."], [ReportSection("Part", "said")]))
    said = capsys.readouterr()
    assert said.out == "Title\n  fact: value\nPart: said\n"
    assert said.err == "warning: Beware.\n"
