"""What several commands share: portfolios for two rulesets, evidence files."""

from pathlib import Path

import pytest

from fivefold.cli.portfolio.files import PortfolioFiles, read_portfolio
from fivefold.cli.rules.evidence import show, write_evidence
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.governance.reports.page import ReportPage, Section
from tests.cli.running import AS_OF, Home
from tests.risk.governance.making import TEXT


class Nothing:
    def to_dict(self) -> dict[str, str]:
        return {}


def test_a_portfolio_has_what_any_of_its_rulesets_reads(home: Home, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("entity_id,kind,country,income\nuser_000001,person,XC,5\n")
    with_indicator = TEXT.replace("input: {field: income}", "input: {indicator: account_age_days}")
    own, reads = analyse_text(TEXT), analyse_text(with_indicator)
    for rulesets in ([own, reads], [reads, own]):
        made = read_portfolio(PortfolioFiles(people, home.rows), rulesets, {}, parse_moment(AS_OF), None, "value")
        assert made.indicators is not None
        assert made.values is None
    assert read_portfolio(PortfolioFiles(people), [own], {}, parse_moment(AS_OF), None, "value").indicators is None


def test_evidence_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        write_evidence("nothing", Nothing(), ReportPage("t", [], [], []), tmp_path / "none" / "a.html", None)
    write_evidence("nothing", Nothing(), ReportPage("t", [], [], []), None, None)
    assert list(tmp_path.iterdir()) == []


def test_words_without_a_table_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show(ReportPage("Title", [("fact", "value")], ["Beware."], [Section("Part", "said")]))
    said = capsys.readouterr()
    assert said.out == "Title\n  fact: value\nPart: said\n"
    assert said.err == "warning: Beware.\n"
