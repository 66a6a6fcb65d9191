"""Promotions: who served when, and every way in which one is refused; on a real embedded MLflow."""

import sqlite3
import sys
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import ModelNotFoundError, PromotionRefusedError, RegistryError
from fivefold.domain.settings import Settings
from fivefold.models import promotions
from fivefold.models.promotions import (
    PROMOTE,
    ROLLBACK,
    promote,
    promotion_history,
    promotions_between,
    promotions_on,
    rollback,
    version_before,
)
from fivefold.models.registry import PARENT_TAG, TREES_TAG, Registry
from tests.models.making import add_bare_version, new_registry


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_us = to_microseconds(date(2026, 1, 1))

    def set(self, moment: date | datetime) -> None:
        self.now_us = to_microseconds(moment)

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    set_clock(monkeypatch, made)
    return made


def set_clock(patched: pytest.MonkeyPatch, clock: Clock) -> None:
    patched.setattr(promotions, "now_microseconds", clock)
    patched.setattr(promotions, "account_name", lambda: "ann")
    patched.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model; see test_embedded


def add(registry: Registry, *, gate: bool = True, against: int | None = None, reasons: str = "it won") -> int:
    return add_bare_version(
        registry,
        gate_promote=str(gate).lower(),
        gate_reasons=reasons,
        gate_champion="" if against is None else str(against),
    )


def champion_of(registry: Registry) -> int | None:
    champion = registry.champion()
    return champion.number if champion else None


@pytest.fixture(scope="module")
def database_of_three(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Versions 1, 2 and 3, made champion one after the other on the first days of three months."""
    registry, moved = new_registry(tmp_path_factory.mktemp("three")), Clock()
    with pytest.MonkeyPatch.context() as patched:
        set_clock(patched, moved)
        for number, month in ((1, 1), (2, 2), (3, 3)):
            moved.set(datetime(2026, month, 1, 12))  # noqa: DTZ001 (no zone means UTC)
            assert add(registry, against=number - 1 or None) == number
            promote(registry, number)
    return (registry.settings.var / "mlflow.db").read_bytes()


@pytest.fixture
def three(database_of_three: bytes, tmp_path: Path, clock: Clock) -> Registry:
    """A registry of its own with the three versions, the clock at noon of the last promotion."""
    clock.set(datetime(2026, 3, 1, 12))  # noqa: DTZ001 (no zone means UTC)
    (tmp_path / "mlflow.db").write_bytes(database_of_three)
    return Registry(Settings(var=tmp_path), "value")


def test_the_first_version_is_promoted_on_the_gate_s_word(registry: Registry, clock: Clock) -> None:
    made = promote(registry, add(registry))
    assert champion_of(registry) == 1
    assert (made.action, made.version, made.replaced, made.who, made.forced) == (PROMOTE, 1, None, "ann", False)
    assert made.why == "it won"
    assert made.at_us == clock()
    assert promotion_history(registry) == [made]


def test_each_promotion_tells_what_it_replaced(three: Registry) -> None:
    assert [(made.version, made.replaced) for made in promotion_history(three)] == [(1, None), (2, 1), (3, 2)]
    assert champion_of(three) == 3


def test_the_operator_s_own_words_stand_in_place_of_the_gate_s(registry: Registry) -> None:
    made = promote(registry, add(registry), reason="  we looked at it together  ")
    assert made.why == "we looked at it together"
    assert not made.forced


def test_what_the_gate_refused_is_not_promoted(registry: Registry) -> None:
    number = add(registry, gate=False, reasons="it does not beat rfm")
    with pytest.raises(PromotionRefusedError, match="the gate said: it does not beat rfm; overrule with --force"):
        promote(registry, number)
    assert champion_of(registry) is None
    assert promotion_history(registry) == []


def test_a_version_without_a_verdict_is_not_promoted(registry: Registry) -> None:
    with pytest.raises(PromotionRefusedError, match="the gate said: nothing"):
        promote(registry, add_bare_version(registry))


def test_a_verdict_against_another_champion_does_not_count(three: Registry) -> None:
    number = add(three, against=2)
    with pytest.raises(PromotionRefusedError, match="not comparable: it was judged against 2, and version 3 serves"):
        promote(three, number)
    number = add(three, against=None)
    with pytest.raises(PromotionRefusedError, match="judged against no champion, and version 3 serves"):
        promote(three, number)
    assert champion_of(three) == 3
    assert len(promotion_history(three)) == 3


def test_the_verdict_on_a_recalibration_counts_against_every_champion_with_its_trees_and_no_later_curve(
    registry: Registry,
) -> None:
    def add_curve(parent: int, against: str, as_of: int) -> int:
        trees = {PARENT_TAG: str(parent), TREES_TAG: "value/1", "test_as_of": str(as_of)}
        return add_bare_version(registry, gate_promote="true", gate_champion=against, **trees)

    promote(registry, add(registry))
    promote(registry, add_curve(1, "1", 20))
    third = add_curve(2, "2", 30)
    promote(registry, third)
    rollback(registry)
    assert rollback(registry).version == 1
    assert promote(registry, third).replaced == 1, "the ranking of version 1 is that of version 2"
    with pytest.raises(PromotionRefusedError, match="judged against 1, and version 3 serves"):
        promote(registry, 2)  # its curve is older: a rollback is what goes back
    promote(registry, add(registry, against=3))
    with pytest.raises(PromotionRefusedError, match="judged against 2, and version 4 serves"):
        promote(registry, third)


def test_the_champion_is_not_promoted_again_even_by_force(three: Registry) -> None:
    for force in (False, True):
        with pytest.raises(PromotionRefusedError, match="version 3 is the champion already"):
            promote(three, 3, force=force, reason="again")
    assert len(promotion_history(three)) == 3


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_force_without_a_reason_is_refused(registry: Registry, reason: str) -> None:
    for gate in (False, True):
        with pytest.raises(PromotionRefusedError, match="--force needs --reason TEXT"):
            promote(registry, add(registry, gate=gate), force=True, reason=reason)
    assert champion_of(registry) is None


def test_a_forced_promotion_records_who_when_why_and_what_it_replaced(three: Registry, clock: Clock) -> None:
    number = add(three, gate=False, against=3)
    clock.set(date(2026, 4, 1))
    promote(three, number, force=True, reason="the auditor asked for it; größer")
    last = promotion_history(three)[-1]
    assert (last.version, last.replaced, last.who, last.forced) == (4, 3, "ann", True)
    assert last.why == "the auditor asked for it; größer"
    assert last.at_us == to_microseconds(date(2026, 4, 1))
    assert champion_of(three) == 4


def test_an_unknown_version_is_not_promoted_and_the_others_are_listed(three: Registry) -> None:
    with pytest.raises(ModelNotFoundError, match="no version 9; there are: 3, 2, 1"):
        promote(three, 9, force=True, reason="typing error")
    assert len(promotion_history(three)) == 3


def test_rolling_back_goes_one_back_and_again_one_further(three: Registry, clock: Clock) -> None:
    clock.set(date(2026, 4, 1))
    first = rollback(three)
    assert (first.action, first.version, first.replaced, first.why) == (ROLLBACK, 2, 3, "rolled back")
    assert champion_of(three) == 2
    clock.set(date(2026, 5, 1))
    second = rollback(three, reason="still wrong")
    assert (second.version, second.replaced, second.why) == (1, 2, "still wrong")
    assert champion_of(three) == 1
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        rollback(three)
    assert champion_of(three) == 1
    assert [made.action for made in promotion_history(three)] == [PROMOTE] * 3 + [ROLLBACK] * 2


def test_after_a_rollback_a_promotion_starts_from_what_served(three: Registry, clock: Clock) -> None:
    clock.set(date(2026, 4, 1))
    rollback(three)
    clock.set(date(2026, 5, 1))
    promote(three, add(three, against=2))
    assert promotion_history(three)[-1].replaced == 2
    clock.set(date(2026, 6, 1))
    assert rollback(three).version == 2
    clock.set(date(2026, 7, 1))
    assert rollback(three).version == 1


def test_what_was_rolled_back_may_be_promoted_again(three: Registry, clock: Clock) -> None:
    clock.set(date(2026, 4, 1))
    rollback(three)
    clock.set(date(2026, 5, 1))
    promote(three, 3)  # it was judged against version 2, which serves
    assert champion_of(three) == 3


def test_nothing_to_roll_back_to(registry: Registry) -> None:
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        rollback(registry)
    promote(registry, add(registry))
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        rollback(registry)
    assert champion_of(registry) == 1


def misdated(registry: Registry, clock: Clock) -> None:
    """Promote version 1 on 1 January, version 2 by a clock that is at 1 February, and version 3 on 3 January."""
    for number, day in ((1, date(2026, 1, 1)), (2, date(2026, 2, 1)), (3, date(2026, 1, 3))):
        clock.set(day)
        promote(registry, add(registry, against=number - 1 or None))


def test_a_clock_that_was_ahead_changes_neither_the_order_nor_what_a_rollback_chooses(
    registry: Registry, clock: Clock
) -> None:
    misdated(registry, clock)
    assert [(made.version, made.replaced) for made in promotion_history(registry)] == [(1, None), (2, 1), (3, 2)]
    served = {midnight(1, 2): [1], midnight(1, 4): [3], midnight(2, 1): [3], midnight(3, 1): [3]}
    assert {moment: [made.version for made in promotions_on(registry, moment)] for moment in served} == served
    assert [made.version for made in promotions_between(registry, midnight(1, 2), midnight(3, 1))] == [1, 2, 3]
    clock.set(date(2026, 1, 4))
    assert rollback(registry).version == 2
    assert [made.version for made in promotions_on(registry, midnight(3, 1))] == [2]
    assert rollback(registry).version == 1
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        rollback(registry)


def test_a_rollback_never_chooses_what_serves(registry: Registry, clock: Clock) -> None:
    """Records from before they had numbers are in the order of their dates, which may be wrong."""
    misdated(registry, clock)
    for run in registry.client.search_runs([registry.experiment("value-promotions")]):
        registry.client.delete_tag(run.info.run_id, "number")
    assert [made.version for made in promotion_history(registry)] == [1, 3, 2]
    assert [rollback(registry).version for _ in range(2)] == [2, 1]
    assert [made.version for made in promotion_history(registry)] == [1, 3, 2, 2, 1]


def test_a_rollback_goes_back_from_an_alias_that_was_moved_in_mlflow(three: Registry) -> None:
    three.set_alias("champion", add(three))
    assert rollback(three).version == 3
    assert rollback(three).version == 2


def test_where_the_alias_names_a_version_that_is_gone_a_rollback_goes_back_to_the_last_champion(
    three: Registry,
) -> None:
    assert three.champion_that_is_gone() is None
    with closing(sqlite3.connect(three.settings.registry)) as database, database:
        database.execute("UPDATE registered_model_aliases SET version = 77 WHERE alias = 'champion'")
    assert (champion_of(three), three.champion_that_is_gone()) == (None, 77)
    assert version_before(three) == 3
    assert [rollback(three).version for _ in range(3)] == [3, 2, 1]
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        rollback(three)


def test_a_rollback_does_not_bring_a_withdrawn_champion_back(three: Registry) -> None:
    three.client.delete_registered_model_alias("value", "champion")
    assert (three.champion_that_is_gone(), rollback(three).version) == (None, 2)


def test_a_rollback_does_not_take_a_new_version_for_one_that_was_deleted_with_all_of_the_model(three: Registry) -> None:
    three.client.delete_registered_model("value")
    assert three.champion_that_is_gone() is None
    assert [add(three), add(three, against=1)] == [1, 2]
    assert version_before(three) is None
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        rollback(three)
    promote(three, 1)
    assert version_before(three) is None
    promote(three, 2)
    assert rollback(three).version == 1
    assert len(promotion_history(three)) == 6


def test_the_record_is_only_ever_appended_to(three: Registry, clock: Clock) -> None:
    before = promotion_history(three)
    clock.set(date(2026, 4, 1))
    rollback(three)
    assert promotion_history(three)[:3] == before


def noon(month: int, day: int) -> int:
    return to_microseconds(datetime(2026, month, day, 12))  # noqa: DTZ001 (no zone means UTC)


def midnight(month: int, day: int) -> int:
    return to_microseconds(date(2026, month, day))


def test_what_served_at_a_moment_or_on_a_day(three: Registry) -> None:
    served = {
        midnight(1, 1) - DAY_US: [],
        midnight(1, 1): [1],  # the whole day
        noon(1, 1) - 1: [],
        noon(1, 1): [1],
        midnight(1, 31): [1],
        midnight(2, 1): [1, 2],  # both served on that day
        noon(2, 1) - 1: [1],
        noon(2, 1): [2],
        midnight(2, 2): [2],
        midnight(3, 1): [2, 3],
        midnight(12, 31): [3],
    }
    assert {moment: [made.version for made in promotions_on(three, moment)] for moment in served} == served


def test_what_served_over_a_longer_time(three: Registry) -> None:
    assert [made.version for made in promotions_between(three, midnight(1, 15), midnight(3, 15))] == [1, 2, 3]
    assert [made.version for made in promotions_between(three, noon(2, 1), noon(3, 1))] == [2, 3]


def test_a_rollback_serves_too(three: Registry, clock: Clock) -> None:
    clock.set(date(2026, 4, 10))
    rollback(three)
    assert [made.version for made in promotions_on(three, midnight(4, 11))] == [2]


def test_an_alias_that_does_not_move_leaves_no_promotion_behind(
    three: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = add(three, against=3)

    def failing(*_: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", failing)
    with pytest.raises(RegistryError, match="disk full"):
        promote(three, number)
    with pytest.raises(RegistryError, match="disk full"):
        rollback(three)
    monkeypatch.undo()
    assert champion_of(three) == 3
    assert [made.version for made in promotion_history(three)] == [1, 2, 3]
    runs = three.client.search_runs([three.experiment("value-promotions")])
    assert sorted(run.info.status for run in runs) == ["FAILED"] * 2 + ["FINISHED"] * 3


def test_a_promotion_whose_answer_is_lost_is_one_where_the_alias_moved(
    three: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = add(three, against=3)
    clock.set(date(2026, 4, 1))
    moving, marking = three.set_alias, MlflowClient.set_terminated

    def lost(*of: object) -> None:
        moving(*of)  # type: ignore[arg-type]  # passed on
        raise MlflowException("the answer is lost")

    def unmarked(*of: object) -> None:
        raise MlflowException("out of reach")

    monkeypatch.setattr(three, "set_alias", lost)
    assert promote(three, number).version == champion_of(three) == number
    assert [made.version for made in promotion_history(three)] == [1, 2, 3, 4]
    monkeypatch.setattr(MlflowClient, "set_terminated", unmarked)
    assert rollback(three).version == champion_of(three) == 3
    monkeypatch.setattr(MlflowClient, "set_terminated", marking)
    assert [made.action for made in promotion_history(three)] == [PROMOTE] * 4 + [ROLLBACK]
    assert rollback(three).version == 2
    runs = three.client.search_runs([three.experiment("value-promotions")])
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_process_that_ends_right_after_the_alias_moved_leaves_its_promotion_behind(
    three: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(three, against=3)
    clock.set(date(2026, 4, 1))
    with monkeypatch.context() as killed:
        killed.setattr(three.client, "set_terminated", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            promote(three, 4)
    assert champion_of(three) == 4
    assert [change.version for change in promotion_history(three)] == [1, 2, 3, 4]
    clock.set(date(2026, 4, 2))
    assert rollback(three).version == 3
    assert [(change.action, change.version) for change in promotion_history(three)[-2:]] == [
        (PROMOTE, 4),
        (ROLLBACK, 3),
    ]
    clock.set(date(2026, 4, 3))
    assert rollback(three).version == 2


def test_a_process_that_ends_before_the_alias_moves_leaves_none(
    three: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(three, against=3)
    clock.set(date(2026, 4, 1))
    with monkeypatch.context() as killed:
        killed.setattr(three, "set_alias", lambda *_: sys.exit("killed"))
        killed.setattr(three.client, "set_terminated", lambda *_: None)
        with pytest.raises(SystemExit):
            promote(three, 4)
    assert [change.version for change in promotion_history(three)] == [1, 2, 3]
    clock.set(date(2026, 4, 2))
    promote(three, 4)
    assert [change.version for change in promotion_history(three)] == [1, 2, 3, 4]


def test_two_models_keep_their_own_records(three: Registry) -> None:
    other = Registry(three.settings, "other")
    assert promotion_history(other) == []
    promote(other, add(other))
    assert [made.version for made in promotion_history(other)] == [1]
    assert len(promotion_history(three)) == 3
    assert champion_of(three) == 3
