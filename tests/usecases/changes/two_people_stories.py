"""Steps of stories in which one person proposes what decides, and another approves it."""

from collections.abc import Callable

from sqlalchemy import Engine

from fivefold.store.tables.levels import Standing
from fivefold.usecases.accounts.settings import SettingsChange
from fivefold.usecases.changes.asks import change_settings, order_families, put_list, put_list_version, switch_family
from fivefold.usecases.changes.backtests import BACKTESTS, request_backtest
from fivefold.usecases.changes.proposals import ChangeOutcome, list_proposals
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.rulesets.activate import activate, advance_backfills
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.usecases.governed import DAY, NOW, document, rows_of

People = tuple[Actor, Actor, Actor]
LENIENT = document("lenient", medium=59).replace("points: 10, floor: high", "points: 10").replace(
    "expect: {level: high, floor_by: country, total: 50}", "expect: {level: low, total: 50}"
).replace("expect: {level: medium}", "expect: {level: low, total: 30}")  # fmt: skip
LATER = NOW + DAY
Ask = Callable[[Engine, Actor], ChangeOutcome]
CHANGES: dict[str, Ask] = {
    "order": lambda engine, who: order_families(
        Context(engine, who).at(LATER), "customer", ["lenient", "retail"], "why"
    ),
    "switch": lambda engine, who: switch_family(Context(engine, who).at(LATER), "retail", False, "why"),
    "list": lambda engine, who: put_list_version(
        Context(engine, who).at(LATER), "watched", LATER, [], "W", "us", "why"
    ),
    "file": lambda engine, who: put_list(
        Context(engine, who).at(LATER),
        "{list: watched, title: W, source: us, versions: [{since: 2026-11-21, members: []}]}",
        "why",
    ),
    "cap": lambda engine, who: change_settings(
        Context(engine, who).at(LATER), SettingsChange(override_cap_percent=99), "why"
    ),
    "retention": lambda engine, who: change_settings(
        Context(engine, who).at(LATER), SettingsChange(retention_days=0), "why"
    ),
    "coverage": lambda engine, who: change_settings(
        Context(engine, who).at(LATER), SettingsChange(minimum_coverage_percent=0), "why"
    ),
}


def work(engine: Engine, now_us: int) -> None:
    advance_backfills(engine, now_us)
    while run_batch(engine, clock=lambda: now_us) is not None:
        pass


def decide(engine: Engine, three: People, text: str, name: str, now_us: int = NOW) -> None:
    """Bring a ruleset into force, by two people."""
    save_draft(Context(engine, three[0]), text)
    made = commit(Context(engine, three[0]).at(now_us), name, 1, "as it is")
    request_backtest(Context(engine, three[0]).at(now_us), name, made.number)
    assert run_next_job(engine, BACKTESTS, now_us)
    activate(Context(engine, three[2]).at(now_us), name, made.number, "as agreed", 1000)


def levels(engine: Engine) -> list[int]:
    return [row["level"] for row in rows_of(engine, Standing)]


def proposed(outcome: ChangeOutcome) -> int:
    assert outcome.proposal is not None
    return outcome.proposal.id


def settings_change(engine: Engine, who: Actor, **values: int) -> int:
    return proposed(change_settings(Context(engine, who).at(LATER), SettingsChange(**values), "why"))  # type: ignore[arg-type]  # numbers


def states(engine: Engine, who: Actor) -> list[str]:
    """The oldest first."""
    return [line.state for line in list_proposals(Context(engine, who))][::-1]
