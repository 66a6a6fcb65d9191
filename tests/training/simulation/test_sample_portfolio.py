"""The sample portfolio: every table fits the shipped ruleset, and each story gives the level that it should."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fivefold.domain.errors import ConfigError
from fivefold.training.simulation.sample_portfolio import write_sample
from tests.cli.running import run

END = date(2026, 11, 20)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    sample = write_sample(tmp_path_factory.mktemp("sample"), 60, seed=3, end=END)
    return {path.stem: pl.read_parquet(path) for path in sample.paths}


def test_every_table_is_about_customers_that_exist(tables: dict[str, pl.DataFrame]) -> None:
    customers = set(tables["customers"]["entity_id"])
    assert len(customers) == 60
    assert set(tables["transactions"]["user_id"]) == customers
    for name in ("screenings", "tags", "cases", "alerts"):
        assert set(tables[name]["entity_id"]) <= customers, name


def test_transactions_have_unique_numbers_and_end_before_the_end(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["transactions"]
    assert rows["transaction_id"].is_unique().all()
    assert rows["transaction_date"].dt.date().max() < END
    assert rows["user_balance"].is_not_null().all()


def test_the_same_seed_and_day_give_the_same_tables(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    again = write_sample(tmp_path, 60, seed=3, end=END)
    for path in again.paths:
        assert pl.read_parquet(path).equals(tables[path.stem]), path.name
    other = write_sample(tmp_path, 60, seed=4, end=END)
    assert not pl.read_parquet(other.transactions).equals(tables["transactions"])


def test_the_readme_shows_what_its_command_prints(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    shown = next(line.strip() for line in readme.splitlines() if line.startswith("    Score "))
    asked = next(line for line in readme.splitlines() if "rules assess" in line and "--explain" in line)
    write_sample(tmp_path / "sample", end=END)
    words = [word.replace("var/", f"{tmp_path}/") for word in asked.split()[1:]]
    done = run(tmp_path, *words, "--as-of", END, columns=400)
    assert shown in done.out.splitlines()


@pytest.mark.parametrize("customers", [0, 19, 10_001])
def test_a_portfolio_without_room_for_the_stories_is_refused(tmp_path: Path, customers: int) -> None:
    with pytest.raises(ConfigError, match=f"customers is {customers}; it must be 20 to 10,000"):
        write_sample(tmp_path, customers)


def test_labels_became_known_in_the_last_half_year_and_once_each(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, 200, seed=3, end=END)
    labels = pl.read_csv(sample.labels, try_parse_dates=True)
    assert labels["entity_id"].is_unique().all()
    assert set(labels["entity_id"]) < set(pl.read_parquet(sample.customers)["entity_id"])
    assert sample.stories["structuring"] in set(labels["entity_id"])
    days = (pl.Series([END]) - labels["at"].dt.date()).dt.total_days()
    assert days.is_between(0, 180).all()
    assert days.max() > 90
    before = labels["at"].dt.timestamp()
    again = pl.read_csv(write_sample(tmp_path, 200, seed=3, end=END).labels, try_parse_dates=True)
    assert again["at"].dt.timestamp().equals(before)


def test_a_ruleset_that_was_changed_is_never_overwritten(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, 20, end=END)
    before = sample.customers.read_bytes()
    write_sample(tmp_path, 20, end=END)
    mine = (tmp_path / "draft.yaml").read_text() + "# ours"
    (tmp_path / "draft.yaml").write_text(mine)
    with pytest.raises(ConfigError, match="says something else, which would be lost"):
        write_sample(tmp_path, 30, end=END)
    assert (tmp_path / "draft.yaml").read_text() == mine
    assert sample.customers.read_bytes() == before, "nothing is half written"


def test_every_company_has_owners_who_are_persons_and_owned_by_nobody(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, 200, seed=3, end=END)
    kinds = dict(pl.read_parquet(sample.customers).select("entity_id", "kind").iter_rows())
    links = pl.read_parquet(sample.links)
    owned = links.drop_nulls("to")
    assert {kinds[company] for company in owned["from"]} == {"company"}
    assert {kinds[owner] for owner in owned["to"]} == {"person"}
    assert set(owned["from"]) == {entity for entity, kind in kinds.items() if kind == "company"}
    assert set(links.filter(pl.col("to").is_null())["from"]) == set(owned["to"])
    assert sample.stories["politically-exposed"] in set(owned["to"])
