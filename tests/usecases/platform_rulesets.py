"""The rulesets of the platform's model, as the platform reads them, and what their rules come to."""

from collections.abc import Mapping
from dataclasses import dataclass

from fivefold.store.levels.assessment_queue import Reason
from tests.usecases import banks

CASH_DAYS, ALERT_DAYS, HALF_LIFE_DAYS = 20, 40, 5
CASH_FROM = 1000
COUNTRIES = {"KP": 70, "RU": 40, "NO": 5}
POINTS = {"cash": 40, "watch": 10, "found": 1, "confirmed": 35, "alerts": 64}
FAMILIES = ("companies", "persons")
NOTHING = Reason(0)
LEVELS = (None, "low", "medium", "high")


@dataclass(frozen=True)
class Version:
    """What differs between the versions of a ruleset."""

    thresholds: tuple[int, int]
    cooldown_days: int
    interval_days: int


VERSIONS: Mapping[str, tuple[Version, Version]] = {
    "companies": (Version((31, 61), 3, 10), Version((20, 41), 1, 9)),
    "persons": (Version((31, 61), 2, 30), Version((10, 35), 6, 15)),
}


def document(family: str, number: int) -> str:
    """Write a version as the ruleset that the platform reads."""
    version = VERSIONS[family][number - 1]
    cash = {**banks.CASH["input"], "over": f"{CASH_DAYS} days"}  # type: ignore[dict-item]  # a mapping
    companies = {
        "country": banks.COUNTRY,
        "cash": {"input": cash, "cases": [{"when": {"at_least": CASH_FROM}, "points": POINTS["cash"]}]},
        "watch": banks.WATCH,
    }
    found = {"when": {"screening": "sanctions", "is": "present"}, "points": POINTS["found"], "floor": "medium"}
    persons = {
        "alerts": {
            "input": {"count": "alerts", "over": f"{ALERT_DAYS} days"},
            "decay": {"half_life": f"{HALF_LIFE_DAYS} days"},
            "cases": [{"when": {"at_least": 1}, "points": POINTS["alerts"]}],
        },
        "found": {"cases": [found], "overridable": True},
        "confirmed": banks.CONFIRMED,
        "watch": banks.WATCH,
    }
    return banks.document(
        companies if family == "companies" else persons,
        family,
        applies_to={"field": "occupation", "equals": family},
        score={"points": {"thresholds": list(version.thresholds)}},
        cooldown=f"{version.cooldown_days} days",
        max_recompute_interval=f"{version.interval_days} days",
    )


@dataclass(frozen=True)
class Rules:
    """What the rules of a family say: `found_unknown`, nobody looked for a sanction, whose floor is medium."""

    computed: int
    floor: int
    hard_floor: int
    found_unknown: bool
    step: int | None
    turn: int | None


@dataclass(frozen=True)
class Held:
    """What holds after the rules were asked: nothing where no ruleset applies."""

    level: int | None = None
    entered: int | None = None
    withheld: bool = False
    may_move_down: int | None = None
    floor: int = 0
    hard_floor: int = 0
    lost: int | None = None
    floor_ends: int | None = None
