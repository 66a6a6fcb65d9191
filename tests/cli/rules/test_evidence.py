"""What several commands share: evidence files."""

from pathlib import Path

import pytest

from fivefold.cli.rules.evidence import show, write_evidence
from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.reports.page import ReportPage, ReportSection


class Nothing:
    def to_dict(self) -> dict[str, str]:
        return {}


def test_evidence_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        write_evidence("nothing", Nothing(), ReportPage("t", [], [], []), tmp_path / "none" / "a.html", None)
    write_evidence("nothing", Nothing(), ReportPage("t", [], [], []), None, None)
    assert list(tmp_path.iterdir()) == []


def test_words_without_a_table_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show(ReportPage("Title", [("fact", "value")], ["Beware."], [ReportSection("Part", "said")]))
    said = capsys.readouterr()
    assert said.out == "Title\n  fact: value\nPart: said\n"
    assert said.err == "warning: Beware.\n"
