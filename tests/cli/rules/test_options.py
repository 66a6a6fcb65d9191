"""Options that several commands share."""

from pathlib import Path

from fivefold.cli.rules.options import PartOptions, ValueOptions, portfolio_files
from fivefold.domain.clock import parse_moment
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.usecases.portfolio_files.portfolio import read_portfolio
from tests.cli.running import AS_OF, Home
from tests.risk.governance.making import TEXT


def test_a_portfolio_has_what_any_of_its_rulesets_reads(home: Home, tmp_path: Path) -> None:
    people, value = tmp_path / "people.csv", ValueOptions()
    people.write_text("entity_id,kind,country,income\nuser_000001,person,XC,5\n")
    with_indicator = TEXT.replace("input: {field: income}", "input: {indicator: account_age_days}")
    own, reads = analyse_text(TEXT), analyse_text(with_indicator)
    for rulesets in ([own, reads], [reads, own]):
        files = portfolio_files(people, PartOptions(transactions=home.rows), value)
        portfolio = read_portfolio(files, rulesets, parse_moment(AS_OF))
        assert portfolio.indicators is not None
        assert portfolio.values is None
    alone = portfolio_files(people, PartOptions(), value)
    assert read_portfolio(alone, [own], parse_moment(AS_OF)).indicators is None
