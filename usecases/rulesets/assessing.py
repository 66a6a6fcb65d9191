"""The data of a proposal: all entities that a ruleset decides on, assessed part by part, and the confirmed ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.governance.validate.labels import AT
from fivefold.store.monitoring.validation import CONFIRMED_OUTCOME, records_before
from fivefold.usecases.rulesets.run_backtest import LeftOut, Setting, reached_portfolios
from fivefold.usecases.shared.jobs import Lease


def assessed_parts(lease: Lease, setting: Setting, left_out: LeftOut | None = None) -> Iterator[Assessments]:
    """Assess the entities that the ruleset decides on, as of the setting's moment; *left_out* counts the others."""
    left_out = left_out or LeftOut.none_of(setting)
    moment = day_text(setting.as_of_us)

    def progress(done: int, total: int, part: str) -> None:
        lease.progress(done, total, f"as of {moment}: {part}")

    for _, portfolio in reached_portfolios(lease.who.engine, setting, [setting.draft], left_out, progress):
        yield assess(setting.draft, portfolio, setting.as_of_us)


def later_cautions(left_out: LeftOut, setting: Setting) -> tuple[str, ...]:
    """Return a sentence on how many customers the figures leave out as they came later; empty if none did."""
    if not left_out.later:
        return ()
    return (f"Left out: {count_text(left_out.later, 'customer')} taken in after {day_text(setting.as_of_us)}.",)


def assessed_together(lease: Lease, setting: Setting, left_out: LeftOut | None) -> Assessments:
    """Return all assessments joined, without what the rules read; NotEnoughDataError if the ruleset decides on none."""
    return _joined(setting, list(assessed_parts(lease, setting, left_out)))


def nobody_there(setting: Setting) -> str:
    """Return a sentence that the ruleset decides on no entity that was taken in by the setting's moment."""
    return f"{setting.draft.ruleset.name} reaches nobody who had been taken in by {day_text(setting.as_of_us)}"


def _joined(setting: Setting, parts: Sequence[Assessments]) -> Assessments:
    if not parts:
        raise NotEnoughDataError(f"{nobody_there(setting)}, so there is nobody to learn from")
    outcomes = pl.concat([part.outcomes for part in parts])
    return replace(parts[0], inputs=outcomes.select(ENTITY, AS_OF), outcomes=outcomes, moments=None)


def labels_from_cases(session: Session, organisation_id: int, until_us: int) -> pl.DataFrame:
    """Return a label for each case that was closed as confirmed before a moment: `entity_id`, and `at`, its end.

    A case about an entity of a type without rulesets, such as an account, counts for each of its owners, as in
    validations of levels.
    """
    records = records_before(session, organisation_id, until_us)
    ended = (pl.col("kind") == "case") & (pl.col("outcome") == CONFIRMED_OUTCOME) & (pl.col("closed_us") < until_us)
    return records.filter(ended).select(
        pl.col("entity").cast(pl.String).alias(ENTITY), pl.col("closed_us").cast(pl.Datetime("us", "UTC")).alias(AT)
    )
