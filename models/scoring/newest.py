"""What the newest of the rows that were read says of scores: whether they are of the day that is meant."""

from collections.abc import Iterator

from fivefold.domain.clock import CLOCK_SLACK_US, DAY_US, day_text

STALE_DAYS = 7
"""Rows that end so long before the as-of are worth a warning."""


def doubts_of_newest(newest: int, as_of: int, *, is_now: bool, option: str) -> Iterator[str]:
    """Say why scores may not be of the day that is meant; nothing where the rows fit the as-of.

    Args:
        newest: time of the newest row that was read, whatever the as-of, microseconds.
        as_of: of the scores, microseconds.
        is_now: the as-of is the present, as none was given.
        option: how to give another as-of, with `{}` for the day.
    """
    if is_now and newest > as_of + CLOCK_SLACK_US:
        yield f"the newest row is dated {day_text(newest)}, in the future: no row after now was seen"
    if newest < as_of - STALE_DAYS * DAY_US:
        days, midnight = (as_of - newest) // DAY_US, day_text(-(-newest // DAY_US) * DAY_US)
        moment_text = "which is now" if is_now else day_text(as_of)
        yield (
            f"the newest row is {days:,} days older than the as-of, {moment_text}: if rows are missing, "
            f"customers only seem to have paused. For scores as of the end of the data: {option.format(midnight)}"
        )
