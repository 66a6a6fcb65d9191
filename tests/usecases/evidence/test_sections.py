"""What the parts of evidence have in common."""

from datetime import UTC, datetime

from fivefold.usecases.evidence.sections import moment


def test_a_moment_can_be_read_back_exactly() -> None:
    for time_us in (0, 1, 1_795_176_000_123_456):
        written = moment(time_us)
        assert written is not None
        found = datetime.fromisoformat(written) - datetime(1970, 1, 1, tzinfo=UTC)
        assert round(found.total_seconds() * 1e6) == time_us
    assert moment(None) is None
