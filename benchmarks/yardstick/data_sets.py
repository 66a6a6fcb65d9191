"""The public data sets of the yardstick: what is in them, what a customer is worth, and where to get them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from fivefold.domain.errors import NotEnoughDataError
from fivefold.training.config import TrainingConfig, TreeSettings, ValueSettings

HORIZON_DAYS = 90
THREADS = 1
"""Of every method that learns trees: the same on every machine, and it shares one with others."""
SHOP = ValueSettings(deposit_fee=1, withdrawal_fee=0, yearly_margin=0)


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Attributes:
        name: for files and options.
        title: for people.
        about: what it is, in a sentence.
        file: in the folder of the data.
        currency: of every amount.
        value: what a customer is worth over a horizon.
        value_text: the same in words.
        source: where to get it, and what to do with it.
        read: reads the file as transactions with the columns of the API.
    """

    name: str
    title: str
    about: str
    file: str
    currency: str
    value: ValueSettings
    value_text: str
    source: str
    read: Callable[[Path], pa.Table]

    def config(self) -> TrainingConfig:
        """Give what is asked: currency, value and horizon. How to answer is left at every default."""
        return TrainingConfig(
            name=self.name,
            base_currency=self.currency,
            horizon_days=HORIZON_DAYS,
            value=self.value,
            trees=TreeSettings(threads=THREADS),
        )

    def table(self, folder: Path) -> pa.Table:
        """Read the transactions; NotEnoughDataError, which says where to get them, where the file is not there."""
        path = folder / self.file
        if not path.is_file():
            raise NotEnoughDataError(f"{self.title} is not at {path}. {self.source}")
        return self.read(path)


def read_parquet(path: Path) -> pa.Table:
    """Read transactions that have the columns of the API already."""
    columns = [name for name in pl.read_parquet_schema(path) if name not in {"operation", "k_symbol"}]
    return pl.read_parquet(path, columns=columns).to_arrow()


def read_online_retail(path: Path) -> pa.Table:
    """Read Online Retail II, saved as CSV: an invoice's lines are one purchase, and cancelled lines lower it.

    Lines without a customer are left out; amounts are pounds.
    """
    lines = pl.read_csv(path, infer_schema=False, encoding="utf8-lossy")
    named = lines.rename({name: name.strip().lower().replace(" ", "").replace("_", "") for name in lines.columns})
    moments = named.with_columns(
        at=pl.coalesce(
            pl.col("invoicedate").str.to_datetime(form, strict=False, time_unit="us")
            for form in ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")
        ),
        user=pl.col("customerid").str.replace(r"\.0$", ""),
        amount=pl.col("quantity").cast(pl.Float64) * pl.col("price").cast(pl.Float64),
    )
    return (
        moments.filter(pl.col("user").is_not_null() & (pl.col("user") != ""))
        .group_by("user", "invoice", maintain_order=True)
        .agg(pl.col("at").min(), pl.col("amount").sum().round(2))
        .sort("user", "at", "invoice")
        .select(
            user_id="user",
            transaction_currency=pl.lit("GBP"),
            transaction_amount="amount",
            transaction_date="at",
        )
        .to_arrow()
    )


DATA_SETS = {
    each.name: each
    for each in (
        DataSet(
            "berka",
            "Berka",
            "A Czech bank (PKDD'99), 1993 to 1998: 1,056,320 transactions of 4,500 accounts",
            "berka/transactions.parquet",
            "CZK",
            ValueSettings(deposit_fee=0.005, withdrawal_fee=0.005, yearly_margin=0.02),
            "0.5 % of deposits and of withdrawals, and 2 % a year on the balance",
            "It is the PKDD'99 Discovery Challenge's financial data, such as at relational.fel.cvut.cz (Financial): "
            "write trans as Parquet with the columns user_id, transaction_date, transaction_amount (withdrawals below "
            "0), transaction_currency and user_balance",
            read_parquet,
        ),
        DataSet(
            "cdnow",
            "CDNOW",
            "A music shop, 1997 and 1998: 69,659 purchases of 23,570 customers, all of whom first bought in "
            "the first quarter of 1997",
            "cdnow/transactions.parquet",
            "USD",
            SHOP,
            "what is bought",
            "It is CDNOW_master.txt at www.brucehardie.com/datasets: write it as Parquet with the columns user_id, "
            "transaction_date, transaction_amount and transaction_currency",
            read_parquet,
        ),
        DataSet(
            "online-retail",
            "Online Retail II",
            "A British online shop for gifts, December 2009 to December 2011, of UCI",
            "online_retail_ii/online_retail_II.csv",
            "GBP",
            ValueSettings(deposit_fee=1, withdrawal_fee=-1, yearly_margin=0),
            "what is bought, less what is cancelled",
            "It is data set 502 at archive.ics.uci.edu (CC BY 4.0): save both sheets of online_retail_II.xlsx as one "
            "CSV file with the columns Invoice, Quantity, InvoiceDate, Price and Customer ID",
            read_online_retail,
        ),
    )
}
"""Every data set that the yardstick knows; those whose file is not there are left out, and the page says so."""
