"""A sample portfolio for the risk side: simulated customers, their screenings, tags, cases, alerts and links.

Every table has the columns that `fivefold rules assess` and `fivefold import` read, and the fields that the shipped
ruleset `fatf-retail` declares. All of it is invented; a few customers have a story of their own, so that every part of
the ruleset has a customer to find. Shares are choices that give the portfolio the usual shape: most customers are low.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.training.simulation.simulator import Simulation, simulate

DAYS_SIMULATED = 730
MOST_CUSTOMERS = 10_000
"""The tables are written from memory; larger portfolios are for `fivefold simulate`."""

COUNTRIES = ("DE", "FR", "NL", "ES", "PL", "US", "GB", "BG", "VN", "SY")
COUNTRY_SHARES = (0.34, 0.2, 0.14, 0.1, 0.1, 0.04, 0.03, 0.03, 0.015, 0.005)
OCCUPATIONS = ("nurse", "teacher", "engineer", "student", "electrician", "restaurant owner", "retired", "designer")
ONBOARDING = ("branch", "video", "remote", "agent")
ONBOARDING_SHARES = (0.5, 0.35, 0.13, 0.02)
PRODUCTS = (["current-account"], ["current-account", "savings"], ["current-account", "crypto-assets"], ["prepaid-card"])
PRODUCT_SHARES = (0.55, 0.35, 0.07, 0.03)
PURPOSES = ("salary", "rent", "household", "savings")
CASH_SHARE = 0.06
SCREENINGS = ("sanctions", "pep", "adverse-media")
NEVER_SCREENED_SHARE = 0.02

PROMPTED = ("structuring", "sanctioned", "politically-exposed", "confirmed-case", "watched")
"""Stories; the first customers who are persons get them in this order."""

LABEL_DAYS = 180
"""Labels became known within this many days before the end."""

_DRAFT_CHANGES = (
    ("in force of the sample", "that is to follow in the sample"),
    ("thresholds: [31, 51, 71]", "thresholds: [26, 51, 71]"),
    ("{equals: agent}, points: 20", "{equals: agent}, points: 25"),
    ("at_least: 20000}, points: 40", "at_least: 15000}, points: 40"),
    ("expect: {level: critical, total: 80, floor_by", "expect: {level: critical, total: 85, floor_by"),
)
"""Texts of the ruleset in force, and what replaces them in the draft."""

_CASH_DEPOSITS = (9500.0, 9900.0, 9100.0, 9700.0)


@dataclass(frozen=True, kw_only=True)
class SamplePortfolio:
    """The tables of a sample portfolio, and the customers with a story.

    Attributes:
        customers: `entity_id` and the fields of `fatf-retail`.
        transactions: the API's columns, and operation, purpose, counterparty_id and counterparty_country.
        screenings: `entity_id`, `screening`, `found`, `at`.
        tags: `entity_id`, `tag`, `from`.
        cases: `entity_id`, `number`, `opened`, `closed`, `outcome`.
        alerts: `entity_id`, `number`, `opened`, `closed`, `outcome`.
        links: `type`, `from`, `to`, `valid_from`: the owners of companies, and that these owners have no owner; no
            shipped ruleset reads it.
        labels: `entity_id`, `confirmed`, `at`: who was confirmed in the last half year, and when it became known.
        rulesets: the folder with `now.yaml`, `draft.yaml` and their lists, `my-lists`.
        stories: a customer for each of `PROMPTED`.
        ordinary: a customer without a story of their own, whom one transaction can raise.
    """

    customers: Path
    transactions: Path
    screenings: Path
    tags: Path
    cases: Path
    alerts: Path
    links: Path
    labels: Path
    rulesets: Path
    stories: dict[str, str]
    ordinary: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """The tables that `fatf-retail` reads, the customers first."""
        return (self.customers, self.transactions, self.screenings, self.tags, self.cases, self.alerts)


def write_sample(folder: Path, customers: int = 300, seed: int = 1, end: date | None = None) -> SamplePortfolio:
    """Write the tables of a sample portfolio into a folder, which is created if it is missing.

    Args:
        folder: existing tables in it are replaced, each at once; a changed ruleset never is.
        customers: number of customers, 20 or more, so that every story has one.
        seed: the same seed and end give the same tables.
        end: the day after the last transactions, UTC; by default the present day.

    Raises:
        ConfigError: customers is out of range, or a ruleset in the folder differs from the sample's.
    """
    if not 20 <= customers <= MOST_CUSTOMERS:
        raise ConfigError(f"customers is {customers}; it must be 20 to {MOST_CUSTOMERS:,}")
    texts = _ruleset_texts()
    _require_unchanged(folder, texts)
    last = datetime.now(UTC).date() if end is None else end
    simulation = Simulation(customers=customers, seed=seed, start=last - timedelta(days=DAYS_SIMULATED), end=last)
    frames = [pl.DataFrame(pl.from_arrow(table)) for table in simulate(simulation)]
    rows, rng = pl.concat(frames), np.random.default_rng(seed)
    people = _people(rows)
    stories = dict(zip(PROMPTED, people["entity_id"].filter(people["kind"] == "person"), strict=False))
    ordinary = people.filter(pl.col("kind") == "person", pl.col("entity_id").is_in(list(stories.values())).not_())
    customer_table = _particulars(people, rng, last, {*stories.values(), ordinary["entity_id"][0]})
    tables = {
        "customers": customer_table,
        "transactions": _transactions(rows, customer_table, rng, stories["structuring"], last),
        "screenings": _screenings(customer_table, rng, stories, last),
        "tags": _tags(stories, last),
        "cases": _records("case", [stories["confirmed-case"]], last),
        "alerts": _records("alert", [stories["watched"], stories["structuring"]], last),
        "links": _owners(people, stories["politically-exposed"], np.random.default_rng((seed, 1)), last),
    }
    paths = {name: _write(table, folder / f"{name}.parquet") for name, table in tables.items()}
    with replacing(folder / "confirmed.csv") as unfinished:
        _labels(customer_table, stories, rng, last).write_csv(unfinished, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    (folder / "my-lists").mkdir(exist_ok=True)
    for name, text in texts.items():
        with replacing(folder / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return SamplePortfolio(
        **paths,
        labels=folder / "confirmed.csv",
        rulesets=folder,
        stories=stories,
        ordinary=ordinary["entity_id"][0],
    )


def _write(table: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        table.write_parquet(unfinished)
    return path


def _people(rows: pl.DataFrame) -> pl.DataFrame:
    """Return every customer once, with the kind that the simulator's channel means."""
    first = rows.group_by("user_id", maintain_order=True).first()
    kind = pl.when(pl.col("user_category") == "API").then(pl.lit("company")).otherwise(pl.lit("person"))
    return first.select(pl.col("user_id").alias("entity_id"), kind.alias("kind"))


def _choice(rng: np.random.Generator, values: Sequence[Any], shares: Sequence[float] | None, count: int) -> list[Any]:
    return [values[place] for place in rng.choice(len(values), count, p=shares)]


def _particulars(people: pl.DataFrame, rng: np.random.Generator, last: date, plain: set[str]) -> pl.DataFrame:
    """Draw the fields of `fatf-retail`; customers in *plain* have no field that raises their level by itself."""
    count = len(people)
    fields = pl.DataFrame(
        {
            "country": _choice(rng, COUNTRIES, COUNTRY_SHARES, count),
            "occupation": _choice(rng, OCCUPATIONS, None, count),
            "onboarding": _choice(rng, ONBOARDING, ONBOARDING_SHARES, count),
            "products": _choice(rng, PRODUCTS, PRODUCT_SHARES, count),
            "funds_verified": (rng.random(count) < 0.8).tolist(),
            "declared_turnover": np.rint(rng.lognormal(8.6, 0.6, count) / 100) * 100,
            "declared_purposes": [list(PURPOSES)] * count,
            "last_review": [last - timedelta(days=int(days)) for days in rng.integers(30, 900, count)],
        }
    )
    is_plain = pl.Series(people["entity_id"].is_in(list(plain)))
    calm = {
        "country": pl.lit("DE"),
        "occupation": pl.lit("teacher"),
        "onboarding": pl.lit("branch"),
        "products": pl.lit(["current-account"]),
        "funds_verified": pl.lit(value=True),
        "declared_turnover": pl.lit(20_000.0),
        "last_review": pl.lit(last - timedelta(days=90)),
    }
    cut = [pl.when(is_plain).then(value).otherwise(pl.col(name)).alias(name) for name, value in calm.items()]
    return people.hstack(fields.with_columns(cut))


def _transactions(
    rows: pl.DataFrame, people: pl.DataFrame, rng: np.random.Generator, structuring: str, last: date
) -> pl.DataFrame:
    """Add the fields that rules read to the simulated rows, and the cash deposits of one customer's story."""
    count = len(rows)
    incoming = rows["transaction_amount"].to_numpy() >= 0
    cash = rng.random(count) < CASH_SHARE
    home = rows.select("user_id").join(people, left_on="user_id", right_on="entity_id", how="left")["country"]
    payers = [f"payer-{number}" for number in rng.integers(1, 4, count)]
    shops = [f"payee-{number}" for number in rng.integers(1, 400, count)]
    counterparties = [payer if is_in else shop for payer, shop, is_in in zip(payers, shops, incoming, strict=True)]
    purpose = np.where(incoming, "salary", rng.choice(["rent", "household", "savings"], count))
    enriched = rows.with_columns(
        operation=pl.Series(np.where(cash, "cash", np.where(incoming, "transfer", "card"))),
        purpose=pl.Series(purpose),
        counterparty_id=pl.Series(counterparties).zip_with(
            ~pl.Series(cash), pl.Series([None] * count, dtype=pl.String)
        ),
        counterparty_country=home.zip_with(~pl.Series(cash), pl.Series([None] * count, dtype=pl.String)),
    )
    return pl.concat([enriched, _split_deposits(enriched, structuring, last)]).sort("user_id", "transaction_date")


def _split_deposits(rows: pl.DataFrame, customer: str, last: date) -> pl.DataFrame:
    """Add cash deposits just below a reporting threshold, one a day, in the days before the end."""
    latest = rows.filter(pl.col("user_id") == customer).sort("transaction_date").tail(1)
    balance, midday = latest["user_balance"][0], datetime(last.year, last.month, last.day, 12)  # noqa: DTZ001 (the simulator's times are UTC without a zone)
    added = []
    for number, amount in enumerate(_CASH_DEPOSITS, 1):
        balance += amount
        added.append(
            latest.with_columns(
                transaction_id=pl.lit(f"{customer}_cash_{number}"),
                transaction_state=pl.lit("SUCCEEDED"),
                transaction_currency=pl.lit("EUR"),
                transaction_amount=pl.lit(amount),
                user_balance=pl.lit(balance),
                transaction_date=pl.lit(midday - timedelta(days=10 - number)).cast(pl.Datetime("us")),
                operation=pl.lit("cash"),
                counterparty_id=pl.lit(None, pl.String),
                counterparty_country=pl.lit(None, pl.String),
            )
        )
    return pl.concat(added)


def _screenings(people: pl.DataFrame, rng: np.random.Generator, stories: dict[str, str], last: date) -> pl.DataFrame:
    """Screen nearly all customers for everything; clean results count too."""
    hits = {(stories["sanctioned"], "sanctions"), (stories["politically-exposed"], "pep")}
    with_hits = {entity for entity, _ in hits}
    rows = [
        {"entity_id": entity, "screening": screening, "found": (entity, screening) in hits, "at": _at(last, 30)}
        for entity, is_screened in zip(
            people["entity_id"], rng.random(len(people)) >= NEVER_SCREENED_SHARE, strict=True
        )
        for screening in SCREENINGS
        if is_screened or entity in with_hits or entity in stories.values()
    ]
    return pl.DataFrame(rows)


def _tags(stories: dict[str, str], last: date) -> pl.DataFrame:
    return pl.DataFrame([{"entity_id": stories["watched"], "tag": "under-watch", "from": _at(last, 14)}])


def _records(kind: str, customers: Sequence[str], last: date) -> pl.DataFrame:
    """Write a confirmed case, or alert, of each customer."""
    return pl.DataFrame(
        [
            {
                "entity_id": customer,
                "number": f"{kind}-{number}",
                "opened": _at(last, 120),
                "closed": _at(last, 90),
                "outcome": "confirmed",
            }
            for number, customer in enumerate(customers, 1)
        ]
    )


def _owners(people: pl.DataFrame, exposed: str, rng: np.random.Generator, last: date) -> pl.DataFrame:
    """Draw one owner or two for every company, for the first also the politically exposed person; owners have none."""
    persons = people["entity_id"].filter(people["kind"] == "person").to_list()
    companies = people["entity_id"].filter(people["kind"] == "company").to_list()
    rows: list[tuple[str, str | None]] = []
    for company in companies:
        owners = {persons[place] for place in rng.choice(len(persons), 1 + int(rng.random() < 0.4), replace=False)}
        if company == companies[0]:
            owners.add(exposed)
        rows += [(company, owner) for owner in sorted(owners)]
    rows += [(owner, None) for owner in sorted({owner for _, owner in rows if owner})]
    ends = pl.DataFrame(rows, schema={"from": pl.String, "to": pl.String}, orient="row")
    begins = pl.lit(_at(last, DAYS_SIMULATED))
    return ends.select(pl.lit("owned_by").alias("type"), "from", "to", begins.alias("valid_from"))


def _labels(people: pl.DataFrame, stories: dict[str, str], rng: np.random.Generator, last: date) -> pl.DataFrame:
    """Confirm a few customers, more often those with more risk factors; the tables do not explain every one."""
    odds = (
        0.005
        + 0.35 * people["country"].is_in(["VN", "SY", "BG"]).to_numpy()
        + 0.1 * people["onboarding"].is_in(["agent"]).to_numpy()
        + 0.25 * people["products"].list.contains("crypto-assets").to_numpy()
        + 0.12 * (~people["funds_verified"]).to_numpy()
    )
    confirmed = (rng.random(len(people)) < odds) | people["entity_id"].is_in([stories["structuring"]]).to_numpy()
    hours_before = rng.integers(1, LABEL_DAYS * 24, len(people))
    at = [_at(last, 0) - timedelta(hours=int(hours)) for hours in hours_before]
    labels = people.select("entity_id", confirmed=pl.lit(value=True), at=pl.Series(at))
    return labels.filter(pl.Series(confirmed))


def _ruleset_texts() -> dict[str, str]:
    """Return the rulesets of the sample (the one in force, a stricter draft) and the list that both read."""
    source = files("fivefold.training.simulation") / "sample_files"
    now = (source / "now.yaml").read_text(encoding="utf-8")
    draft = now
    for before, after in _DRAFT_CHANGES:
        if before not in draft:
            raise AssertionError(f"now.yaml has no {before}")
        draft = draft.replace(before, after)
    watched = (source / "watched-occupations.yaml").read_text(encoding="utf-8")
    return {"now.yaml": now, "draft.yaml": draft, "my-lists/watched-occupations.yaml": watched}


def _require_unchanged(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{path} is there already and says something else, which would be lost; write the sample into another"
                " folder, or remove the file"
            )


def _at(last: date, days_before: int) -> datetime:
    return datetime(last.year, last.month, last.day, tzinfo=UTC) - timedelta(days=days_before)
