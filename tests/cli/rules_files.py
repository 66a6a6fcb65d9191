"""Files of a portfolio, its rulesets and its labels, for the commands that govern rulesets."""

from pathlib import Path

import polars as pl

from tests.risk.governance.making import TEXT, mixed

SIZE = 600
DRAFT = TEXT.replace("[20, 40, 60]", "[25, 50, 60]")
AS_OF = ("--as-of", "2024-07-01")


def write_files(folder: Path, rules: str, entities: str, rows: str) -> Path:
    """Write a ruleset, entities and transactions into a folder."""
    for name, text in (("rules.yaml", rules), ("entities.csv", entities), ("rows.csv", rows)):
        (folder / name).write_text(text)
    return folder


def made(folder: Path) -> Path:
    """Write everything into a folder."""
    people = mixed(SIZE).entities
    people.write_parquet(folder / "people.parquet")
    (folder / "now.yaml").write_text(TEXT, encoding="utf-8")
    (folder / "draft.yaml").write_text(DRAFT, encoding="utf-8")
    hit = pl.Series([number % 10 in {3, 4} for number in range(SIZE)])
    labels = people.select("entity_id", confirmed=hit, at=pl.lit("2024-09-01"))
    labels.write_csv(folder / "labels.csv")
    return folder
