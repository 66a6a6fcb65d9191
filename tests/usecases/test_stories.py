"""The worst stories, told once each, from the outside: what happened, and what must hold.

Each is a sequence in which something is missing, late, repeated or done by one person for two. Every story runs on
SQLite and on PostgreSQL. The cases around each of them are tested beside the code that they concern.
"""

from datetime import date
from pathlib import Path
from threading import Barrier

import polars as pl
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError
from fivefold.domain.money import base_only
from fivefold.domain.paging import Part
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.portfolio import Portfolio as PortfolioOfRules
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.tables.rulesets import Activation, RulesetVersion
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.plan import make_plan
from fivefold.training.simulation.simulator import Simulation, write_simulation
from fivefold.usecases.accounts.settings import SettingsChange, read_settings
from fivefold.usecases.changes.asks import change_settings, order_families
from fivefold.usecases.changes.proposals import approve_proposal
from fivefold.usecases.erasure.erase import erase_entity, set_legal_hold
from fivefold.usecases.ingest.facts import add_screening, set_tag
from fivefold.usecases.levels.clock_repair import refuse_future, repair_dates
from fivefold.usecases.levels.entity_profile import list_tags
from fivefold.usecases.levels.read import Freshness, LevelView, read_level
from fivefold.usecases.levels.worker import Turns, run_batch
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.governed import together
from tests.usecases.platforms import NOW

FUTURE = parse_moment("2062-01-01")
LOW, MEDIUM, HIGH = 1, 2, 3
SANCTIONED = {"cases": [{"when": {"field": "pep", "equals": True}, "points": 1, "floor": "high"}]}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def shown(bank: Bank, name: str = "a", freshness: Freshness = Freshness.STORED) -> LevelView:
    return read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", name, freshness)


def decide_by(bank: Bank, document: str, position: int = 1) -> None:
    """Let a ruleset decide, as two people brought it about yesterday."""
    version = bank.activate(document, position)
    with Session(bank.engine) as session, session.begin():
        family = session.get_one(RulesetVersion, version).family_id
        row = {"kind": "activation", "reason": "agreed", "actor": "member:2", "per_second": 1, "reached_id": 0}
        moments = dict.fromkeys(("at_us", "reached_us", "finished_us"), bank.now - DAY_US)
        session.add(Activation(organisation_id=bank.of, family_id=family, version_id=version, **row, **moments))


class TestALevelNeverFallsBecauseSomethingIsMissing:
    @pytest.mark.postgresql
    def test_a_sanctioned_customer_with_an_override_loses_the_field_that_says_so(self, bank: Bank) -> None:
        """Day 1: sanctioned, so high. Day 2: an override to low, which the floor raises. Day 3: the field is null."""
        bank.activate(banks.document({"sanctions": SANCTIONED}))
        bank.put("a", pep=True)
        bank.settle()
        bank.wait(days=1)
        bank.override("a", LOW)
        bank.settle()
        assert bank.level() == HIGH
        bank.wait(days=1)
        bank.put("a", pep=None)
        bank.settle()
        assert bank.level() == HIGH
        assert "low" not in (shown(bank).level or "")

    def test_nothing_is_known_any_more_of_whether_the_ruleset_applies(self, bank: Bank) -> None:
        """Day 1: high. Day 2: the field of `applies_to` is null. Day 3: it is back; what raised the level is not."""
        rules = banks.document({"country": banks.COUNTRY}, applies_to={"field": "occupation", "equals": "trader"})
        bank.activate(rules)
        bank.put("a", occupation="trader", country="IR")
        bank.settle()
        entered = bank.standing().entered_us
        bank.wait(days=1)
        bank.put("a", occupation=None, country="NO")
        bank.settle()
        assert (bank.level(), bank.standing().entered_us) == (HIGH, entered)
        bank.wait(days=1)
        bank.put("a", occupation="trader", country="NO")
        bank.settle()
        assert (bank.level(), bank.standing().entered_us) == (HIGH, entered), "the cooldown of ten days is not over"
        bank.wait(days=8)
        bank.settle()
        assert bank.level() == LOW

    def test_a_ruleset_that_no_longer_applies_lets_go(self, bank: Bank) -> None:
        bank.activate(
            banks.document({"country": banks.COUNTRY}, applies_to={"field": "occupation", "equals": "trader"})
        )
        bank.put("a", occupation="trader", country="IR")
        bank.settle()
        bank.put("a", occupation="retired")
        bank.settle()
        assert bank.level() is None

    def test_a_screening_that_came_back_without_a_result_does_not_clear_a_hit(self, bank: Bank) -> None:
        bank.activate(banks.document({"sanctions": banks.SCREENED}))
        bank.put("a")
        add_screening(bank.context, "customer", "a", "sanctions", has_match=True)
        bank.settle()
        assert bank.level() == HIGH
        bank.wait(days=20)
        with pytest.raises(Exception, match="found"):
            add_screening(bank.context, "customer", "a", "sanctions", has_match=None)  # type: ignore[arg-type]  # what a broken vendor sends
        bank.settle()
        assert bank.level() == HIGH

    def test_a_floor_outlives_the_points_that_fade_beside_it(self, bank: Bank) -> None:
        """The signal of the decay is a field that was never filled; the floor does not depend on it."""
        fading = {
            "input": {"field": "country"},
            "decay": {"half_life": "90 days", "signal": {"field": "opened_on"}},
            "cases": [{"when": {"equals": "IR"}, "points": 10, "floor": "high"}],
        }
        bank.activate(banks.document({"country": fading}))
        bank.put("a", country="IR")
        bank.settle()
        assert bank.level() == HIGH


class TestOneCustomerIsNotTheOthers:
    def test_a_currency_that_nobody_has_a_rate_for_costs_its_call_nothing(self, bank: Bank) -> None:
        bank.activate(banks.document({"cash": banks.CASH}))
        bank.put("a")
        bank.put("b")
        assert bank.pay(1, "a", transaction_currency="AED").new == 1
        assert bank.pay(2, "b").new == 1
        while bank.run() is not None:
            pass
        assert bank.level("b") == MEDIUM, "the other customer is assessed as ever"
        assert shown(bank, "a").status == "failed", "unknown money is no reason to be low"


class TestClocks:
    def test_a_clock_that_was_ahead_once_does_not_freeze_a_customer_in_the_future(self, bank: Bank) -> None:
        """A worker lived in 2062 for one batch. Then a customer pays forty times in cash."""
        bank.now = now_microseconds()
        bank.activate(banks.document({"cash": banks.CASH}))
        bank.put("a")
        right, bank.now = bank.now, FUTURE
        bank.settle()
        bank.now = right
        for number in range(40):
            bank.pay(number)
        bank.run()
        assert shown(bank).status == "failed"
        assert "clock" in (shown(bank).problem or "")
        repair_dates(bank.engine, "cli:operator", "the machine's clock was wrong")
        bank.now = now_microseconds()
        bank.settle()
        assert (shown(bank).status, bank.level()) == ("assessed", MEDIUM)

    def test_nobody_can_ask_for_a_present_that_is_still_to_come(self, bank: Bank) -> None:
        with pytest.raises(ConfigError, match="--as-of is 2062-01-01"):
            refuse_future(bank.engine, FUTURE, "--as-of")


class TestOnePersonIsNotTwo:
    """What one person proposes, the same person does not approve, whatever it is called."""

    @pytest.mark.parametrize("change", ["override_cap_percent", "retention_days", "minimum_coverage_percent"])
    def test_a_setting_that_decides_waits_for_another_person(self, bank: Bank, change: str) -> None:
        decide_by(bank, banks.document({"country": banks.COUNTRY}))
        before = read_settings(bank.context)
        asked = change_settings(bank.context, SettingsChange(**{change: 1}), "I want it")
        assert asked.proposal is not None
        with pytest.raises(ConflictError, match="another person approves it"):
            approve_proposal(bank.context, asked.proposal.id, "and I agree")
        assert read_settings(bank.context) == before

    def test_who_wrote_a_ruleset_does_not_put_it_before_the_stricter_one(self, bank: Bank) -> None:
        decide_by(bank, banks.document({"country": banks.COUNTRY}, "strict"))
        decide_by(bank, banks.document({"income": banks.INCOME}, "lenient"), position=2)
        bank.put("a", country="IR", income=1.0)
        bank.settle()
        asked = order_families(bank.context, "customer", ["lenient", "strict"], "mine first")
        assert asked.proposal is not None
        with pytest.raises(ConflictError, match="another person approves it"):
            approve_proposal(bank.context, asked.proposal.id, "and I agree")
        bank.wait(days=1)
        bank.mark("a")
        bank.settle()
        assert bank.level() == HIGH


class TestWhatMustBeKept:
    def test_a_customer_with_a_hit_today_is_not_erased_for_being_silent_for_years(
        self, bank: Bank, tmp_path: Path
    ) -> None:
        bank.wait(days=-3000)
        bank.put("a")
        bank.wait(days=3000)
        add_screening(bank.context, "customer", "a", "sanctions", has_match=True)
        with pytest.raises(ConflictError, match="records are kept"):
            erase_entity(bank.context, "customer", "a", tmp_path / "register")

    def test_what_a_legal_hold_protects_survives_a_second_erasure(self, bank: Bank, tmp_path: Path) -> None:
        bank.wait(days=-3000)
        bank.put("a")
        bank.wait(days=3000)
        whose = (bank.context, "customer", "a")
        set_legal_hold(*whose, bank.now + 100 * DAY_US, "Court order 7.", tmp_path / "register")
        with pytest.raises(ConflictError, match="legal hold"):
            erase_entity(*whose, tmp_path / "register")


class TestManyAtOnce:
    @pytest.mark.postgresql
    def test_three_people_set_one_tag_at_the_same_moment(self, kind: str, tmp_path: Path) -> None:
        done = Barrier(3)

        def prepare(engine: Engine) -> Bank:
            bank = Bank(engine)
            bank.put("a")
            return bank

        def tag(engine: Engine, bank: Bank) -> int:
            """Set it, wait for the others, and count the tags that hold."""
            set_tag(Context(engine, bank.actor).at(bank.now), "customer", "a", "watch")
            done.wait()
            held = list_tags(Context(engine, bank.actor), "customer", "a", Part(10))
            return len([tag for tag in held if tag.until_us is None])

        results = together(kind, tmp_path, prepare, tag, tag, tag)
        assert results == [1, 1, 1]

    def test_one_organisation_with_a_mountain_of_work_does_not_starve_another(self, engine: Engine) -> None:
        large, small = Bank(engine, "large"), Bank(engine, "small")
        for bank in (large, small):
            bank.activate(banks.document({"country": banks.COUNTRY}))
        for number in range(60):
            large.put(f"c{number}", country="NO")
        small.put("a", country="IR")
        turns = Turns()
        for _ in range(4):
            run_batch(engine, clock=lambda: large.now, most=5, turns=turns)
        assert small.level() == HIGH


class TestOneRow:
    def test_one_row_of_2029_moves_no_training_window(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        write_simulation(Simulation(customers=40, rows_per_customer_mean=10), path)
        rows = pl.read_parquet(path)
        late = pl.lit("2029-03-01").str.to_datetime(time_unit="us")
        number = pl.int_range(pl.len())
        rows.with_columns(
            pl.when(number == 7).then(late).otherwise("transaction_date").alias("transaction_date")
        ).write_parquet(path)
        config = TrainingConfig()
        with pytest.raises(InvalidDataError, match="row 8: transaction_date is in the future"):
            make_plan(TransactionSource(path, config.rate_table()), config)

    def test_one_tag_that_nobody_can_read_fails_its_customer_alone(self) -> None:
        ruleset = read_ruleset(banks.document({"watch": banks.WATCH}))
        tags = pl.DataFrame({"entity_id": ["a", "b"], "tag": ["watch", "watch"], "from": ["yesterday", "2020-01-01"]})
        fields = {name: [None, None] for name in ("country", "occupation", "income", "opened_on", "pep")}
        entities = pl.DataFrame({"entity_id": ["a", "b"], **fields})
        found = assess(
            AnalysedRuleset(ruleset), PortfolioOfRules(entities, base_only("EUR", date(2024, 1, 1)), tags=tags), NOW
        )
        assert found.table()["status"].to_list() == ["failed", "assessed"]
        assert found.table()["level"].to_list()[1] == "high"

    def test_cents_are_not_lost_above_a_hundred_million(self) -> None:
        total = {"input": {"sum": "fee", "over": "180 days"}, "cases": [{"when": {"above": 300000000.3}, "points": 70}]}
        document = banks.document({"fees": total}, transaction_fields={"fee": "number"}, fields={})
        rows = pl.DataFrame(
            {
                "user_id": ["a"] * 3,
                "transaction_amount": [1.0] * 3,
                "transaction_currency": ["EUR"] * 3,
                "transaction_date": ["2026-11-01"] * 3,
                "fee": [100000000.1] * 3,
            }
        )
        entities = pl.DataFrame({"entity_id": ["a"]})
        portfolio = PortfolioOfRules(entities, base_only("EUR", date(2024, 1, 1)), transactions=rows)
        assert assess(AnalysedRuleset(read_ruleset(document)), portfolio, NOW).table()["level"].to_list() == ["low"]
