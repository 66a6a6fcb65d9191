"""Where levels begin at present."""

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.thresholds.current import Cuts, present_cuts, whole_points
from tests.risk.governance.making import TEXT, TIERED_TEXT, WEIGHTED_TEXT, ruleset


def test_every_form_of_score_has_its_thresholds() -> None:
    assert present_cuts(ruleset()) == Cuts((2000, 4000, 6000))
    assert present_cuts(ruleset(WEIGHTED_TEXT)) == Cuts((3100, 6100, 8600))
    assert present_cuts(ruleset(TIERED_TEXT)) == Cuts((2000, 4000, 6000), (0, 1, 2, 3))


def test_tiers_may_stand_in_any_order() -> None:
    lines = TIERED_TEXT.splitlines()
    at = next(number for number, line in enumerate(lines) if "title: Low" in line)
    lines[at], lines[at + 3] = lines[at + 3], lines[at]
    assert present_cuts(ruleset("\n".join(lines))).tiers == (3, 1, 2, 0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("level: medium", "level: low", "exactly one tier for each level"),
        ("max: 39.99, ", "", "has no min or max"),
        ("min: 40", "min: 10", "do not rise"),
    ],
)
def test_tiers_that_no_threshold_can_stand_for_are_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        present_cuts(ruleset(TIERED_TEXT.replace(old, new)))


def test_whole_points_are_told_from_parts() -> None:
    assert not whole_points(ruleset())
    assert whole_points(ruleset(TEXT.replace("10.5", "10.0")))
    decays = TEXT.replace("10.5", "10").replace(
        "    otherwise: {points: -5}",
        "    otherwise: {points: -5}\n    decay: {half_life: 90 days, signal: {field: since}}",
    )
    assert not whole_points(ruleset(decays.replace("income: number}", "income: number, since: date}")))
