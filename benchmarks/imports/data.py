"""Berka and AMLGentex as the shipped ruleset for private customers reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from fivefold.domain.clock import from_microseconds
from fivefold.usecases.portfolio_files.bundled import bundled_lists

OPERATIONS = {
    "cash_deposit": "cash",
    "cash_withdrawal": "cash",
    "card_withdrawal": "card",
    "transfer_in": "transfer",
    "transfer_out": "transfer",
    "CASH": "cash",
    "TRANSFER": "transfer",
}


@dataclass(frozen=True)
class Bank:
    """A portfolio: where it is from, its currency, and the day after its last transaction."""

    name: str
    base: str
    as_of: str
    entities: Callable[[Path], pl.DataFrame]
    transactions: Callable[[Path], pl.DataFrame]


def _berka_entities(folder: Path) -> pl.DataFrame:
    accounts = pl.read_parquet(folder / "berka" / "accounts.parquet")
    return accounts.select(
        entity_id="user_id", kind=pl.lit("person"), country=pl.lit("CZ"), onboarding=pl.lit("branch")
    )


def _berka_transactions(folder: Path) -> pl.DataFrame:
    return _numbered(pl.read_parquet(folder / "berka" / "transactions.parquet").drop("k_symbol"))


def _aml_entities(folder: Path) -> pl.DataFrame:
    customers = pl.read_parquet(folder / "amlgentex" / "customers.parquet")
    return customers.select(
        entity_id="user_id", kind=pl.lit("person"), country=pl.lit("SE"), declared_turnover=pl.col("salary")
    )


def _aml_transactions(folder: Path) -> pl.DataFrame:
    transactions = pl.read_parquet(folder / "amlgentex" / "transactions.parquet")
    return _numbered(transactions.rename({"channel": "operation"}).drop("counterparty_kind"))


def _numbered(transactions: pl.DataFrame) -> pl.DataFrame:
    """Give every transaction a number of its own; neither source has one."""
    words = pl.col("operation").replace_strict(OPERATIONS, default=None, return_dtype=pl.String)
    return transactions.with_columns(words).with_row_index("transaction_id")


BANKS = (
    Bank("berka", "CZK", "1999-01-01", _berka_entities, _berka_transactions),
    Bank("amlgentex", "SEK", "2024-01-01", _aml_entities, _aml_transactions),
)


def write_lists(folder: Path) -> None:
    """Write the lists that ship as if their first version had been in force long before: these banks are older."""
    folder.mkdir()
    for name, named_list in bundled_lists().items():
        document = {
            "list": name,
            "title": str(named_list.title),
            "source": str(named_list.source),
            "versions": [
                {"since": "1990-01-01", "members": list(named_list.versions[0].members)},
                *(
                    {"since": from_microseconds(one.since).isoformat(), "members": list(one.members)}
                    for one in named_list.versions
                ),
            ],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
