"""Who was confirmed, as the cases on the platform say, and since when that is known."""

import polars as pl
from sqlalchemy.orm import Session

from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.validate.labels import AT
from fivefold.store.monitoring.validation import CONFIRMED_OUTCOME, records_before


def labels_from_cases(session: Session, organisation_id: int, until_us: int) -> pl.DataFrame:
    """Give a label for each case that was closed as confirmed before a moment: `entity_id`, and `at`, its end.

    A case about an entity of a type without rulesets, such as an account, is one about each of its owners, as in
    validations of levels.
    """
    records = records_before(session, organisation_id, until_us)
    ended = (pl.col("kind") == "case") & (pl.col("outcome") == CONFIRMED_OUTCOME) & (pl.col("closed_us") < until_us)
    return records.filter(ended).select(
        pl.col("entity").cast(pl.String).alias(ENTITY), pl.col("closed_us").cast(pl.Datetime("us", "UTC")).alias(AT)
    )
