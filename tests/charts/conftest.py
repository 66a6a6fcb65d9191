"""What the pictures are drawn from."""

import polars as pl
import pytest

from fivefold.domain.breakdown import Breakdown, Contribution


@pytest.fixture
def breakdown() -> Breakdown:
    """Fifteen contributions of falling size, with every kind of value that there is."""
    named = (
        Contribution(
            "deposit_sum_90d",
            "volume",
            48210.5,
            "EUR",
            0.81,
            "Deposits of the last 90 days",
            "Deposits of the last 90 days",
        ),
        Contribution("balance_last", "balance", -12.5, "EUR", -0.44, "Last balance", "Last balance"),
        Contribution("channel", "channel", "API", "", 0.31, "Came by API or by web", "Came by API or by web"),
        Contribution(
            "deposit_season",
            "trend",
            None,
            "EUR",
            -0.22,
            "Deposits in the same season a year before",
            "Deposits in the same season a year before",
        ),
        Contribution("gap_mean", "rhythm", float("nan"), "days", 0.21, "", ""),
    )
    small = tuple(
        Contribution(
            f"small_{place}",
            "quality",
            0.25,
            "share",
            0.013 - 0.004 * (place % 3),
            f"Small effect {place}",
            f"Small effect {place}",
        )
        for place in range(10)
    )
    return Breakdown(3.02, (*small, *named))


@pytest.fixture
def deciles() -> pl.DataFrame:
    money = [0.0, 4.5, 8.1, 12.3, 18.0, 26.7, 39.8, 63.6, 109.5, 468.0]
    realised = [value * 1.1 for value in money]
    return pl.DataFrame(
        {"decile": range(1, 11), "customers": [450] * 10, "predicted_mean": money, "realised_mean": realised}
    )


@pytest.fixture
def curves() -> pl.DataFrame:
    shares = [place / 2000 for place in range(2001)]
    steep = {"RFM": 0.6, "model": 0.3, "perfect": 0.2, "persistence": 0.4}
    return pl.concat(
        pl.DataFrame({"name": name, "customer_share": shares, "value_share": [share**power for share in shares]})
        for name, power in steep.items()
    )


@pytest.fixture
def segment_table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "segment": ["top", "low", "high", "medium"],
            "customers": [1000, 1300, 1100, 1200],
            "value_mean": [12345.6, 4.01, 37.81, 14.05],
            "value_share": [0.81, 0.01, 0.13, 0.05],
        }
    )
