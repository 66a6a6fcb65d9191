"""Who made which model champion: in MLflow and in the audit log alike, and never under a forged name."""

import json
import os
import pwd
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import second_text
from fivefold.domain.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    PromotionRefusedError,
    RegistryError,
    StoreError,
)
from fivefold.domain.provenance import account_name
from fivefold.domain.settings import Settings
from fivefold.models import promotions
from fivefold.models.promotions import promotion_history
from fivefold.models.registry import Registry
from fivefold.store.accounts.plans import read_plans
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.audit import AuditEntry
from fivefold.training.retrain import promoted_by
from fivefold.usecases.accounts.credentials import find_credential
from fivefold.usecases.accounts.organisations import actor_in_new, add_member
from fivefold.usecases.accounts.tokens import create_token, revoke_token
from fivefold.usecases.audit.verify import unlogged_promotions, verify
from fivefold.usecases.changes import promotions as promoting
from fivefold.usecases.changes.promotions import (
    _READS_MONEY,
    money_changes,
    promote_model,
    promote_where_one_may,
    roll_back_model,
)
from fivefold.usecases.levels.worker_loop import ChampionWatcher
from fivefold.usecases.models import promotion_log
from fivefold.usecases.models.promotion_log import acknowledge_loss, record_missing
from fivefold.usecases.shared.context import Context
from tests.models.making import add_bare_version, new_registry
from tests.usecases import banks


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model behind them
    made = new_registry(tmp_path)
    for champion in ("", "1"):
        add_bare_version(made, gate_promote="true", gate_reasons="it won", gate_champion=champion, content_hash="ab")
    return made


def entries(engine: Engine) -> list[tuple[str, str, str, str]]:
    with Session(engine) as session:
        wanted = select(AuditEntry, Organisation.name).join(Organisation, Organisation.id == AuditEntry.organisation_id)
        rows = session.execute(wanted.where(AuditEntry.action.startswith("model.")).order_by(AuditEntry.number))
        return [(name, entry.action, str(entry.subject_id), entry.actor) for entry, name in rows]


def test_a_promotion_and_a_rollback_stand_in_the_audit_log(engine: Engine, registry: Registry) -> None:
    first = promote_model(engine, registry, 1, "cli:ann")
    promote_model(engine, registry, 2, "cli:ben", reason="new fees")
    roll_back_model(engine, registry, "cli:ann", "complaints")
    assert (first.version, first.why) == (1, "it won")
    assert [(one.action, one.version) for one in promotion_history(registry)] == [
        ("promote", 1),
        ("promote", 2),
        ("rollback", 1),
    ]
    assert entries(engine) == [
        ("default", "model.promoted", "1", "cli:ann"),
        ("default", "model.promoted", "2", "cli:ben"),
        ("default", "model.rolled_back", "1", "cli:ann"),
    ]


def test_whose_token_ended_since_it_was_looked_up_promotes_and_rolls_back_nothing(
    engine: Engine, registry: Registry
) -> None:
    """A training takes hours, and its token may end meanwhile: nothing is done in the member's name."""
    add_member(Context(engine, actor_in_new(engine, "default", "cli:ana")), "zoe", ["publisher"])
    number, secret = create_token(engine, read_plans(None), plan="unlimited", role="publisher", member="zoe")
    credential = find_credential(engine, secret)
    assert credential is not None
    promote = partial(promote_where_one_may, engine, actor="cli:ana", person=credential.actor)
    assert promoted_by(registry, 1, promote) == (True, "")
    assert promoted_by(registry, 2, promote) == (True, "")
    add_bare_version(registry, gate_promote="true", gate_reasons="it won", gate_champion="2", content_hash="ab")
    revoke_token(engine, number)
    ended = "the token by which member:1 acts has ended, so nothing was changed; act by another one"
    assert promoted_by(registry, 3, promote) == (False, ended)
    with pytest.raises(ConflictError, match=ended):
        roll_back_model(engine, registry, "cli:ana", "complaints", credential.actor)
    assert [each.version for each in promotion_history(registry)] == [1, 2]


def test_other_money_is_named_with_what_reads_it(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)
    made = new_registry(tmp_path)
    for champion, currency in (("", "EUR"), ("1", "EUR"), ("2", "USD")):
        definition = json.dumps({"currency": currency, "horizon_days": 90})
        add_bare_version(made, gate_promote="true", gate_reasons="won", gate_champion=champion, definition=definition)
    bank = banks.Bank(engine)
    for name, value in (("rich", "expected_value"), ("scored", "score")):
        rule = {"input": {"value": value}, "cases": [{"when": {"at_least": 1}, "points": 40}]}
        bank.activate(banks.document({"valued": rule}, name))
    other = banks.Bank(engine, "other")
    rule = {"input": {"value": "expected_value"}, "cases": [{"when": {"at_least": 1}, "points": 40}]}
    other.activate(banks.document({"valued": rule}, "theirs"))
    with Session(engine) as session:
        changes = [
            money_changes(session, made, replaced, number, bank.context.organisation_id)
            for replaced, number in ((None, 1), (1, 2), (2, 3))
        ]
        everywhere = money_changes(session, made, 2, 3)[1]
    assert "ruleset rich of bank, ruleset theirs of other; " in everywhere
    assert changes[:2] == [[], []]
    change, readers = changes[2]
    assert change.startswith("version 3 gives money in USD over 90 days, and version 2 gives it in EUR over 90 days; ")
    assert readers.startswith("the expected value or the segment is read by ruleset rich of bank; ")


@pytest.mark.parametrize(
    ("canonical", "reads"),
    [
        ('{"triggers": [{"on": "segment", "to": ["top"]}]}', True),
        ('{"triggers": [{"on": "level"}]}', False),
        ('{"input": {"value": "score"}}', False),
    ],
)
def test_a_flow_that_runs_by_the_segment_reads_it(canonical: str, reads: bool) -> None:
    assert bool(_READS_MONEY.search(canonical)) == reads


def test_every_organisation_s_log_says_which_model_values_it(engine: Engine, registry: Registry) -> None:
    for name in ("north", "south"):
        actor_in_new(engine, name, "cli:ann")
    promote_model(engine, registry, 1, "cli:ann")
    assert sorted(entry[0] for entry in entries(engine)) == ["north", "south"]


def test_what_is_refused_is_not_in_the_log(engine: Engine, registry: Registry) -> None:
    with pytest.raises(PromotionRefusedError, match="nothing to roll back to"):
        roll_back_model(engine, registry, "cli:ann")
    promote_model(engine, registry, 1, "cli:ann")
    with pytest.raises(PromotionRefusedError, match="is the champion already"):
        promote_model(engine, registry, 1, "cli:ann")
    assert len(entries(engine)) == 1


def test_where_the_alias_does_not_move_nothing_is_recorded(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", failing)
    with pytest.raises(RegistryError, match="disk full"):
        promote_model(engine, registry, 1, "cli:ann")
    assert entries(engine) == []
    assert promotion_history(registry) == []
    assert registry.champion() is None


def test_where_the_alias_moves_and_the_answer_is_lost_it_is_recorded(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = MlflowClient.set_registered_model_alias

    def lost(*of: Any) -> None:
        moving(*of)
        raise MlflowException("timed out")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lost)
    promote_model(engine, registry, 1, "cli:ann")
    assert entries(engine) == [("default", "model.promoted", "1", "cli:ann")]
    assert [change.version for change in promotion_history(registry)] == [1]


def test_of_two_rollbacks_that_are_planned_at_once_one_is_refused(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both applied, the history would have a version replace itself, and the next rollback nowhere to go."""
    for number in (1, 2):
        promote_model(engine, registry, number, "cli:ann")
    planning, others = promoting.plan_rollback, ["cli:ben"]

    def plan_while_another_acts(*of: Any) -> promotions.Promotion:
        plan = planning(*of)
        if others:
            roll_back_model(engine, registry, others.pop(), "complaints")
        return plan

    monkeypatch.setattr(promoting, "plan_rollback", plan_while_another_acts)
    with pytest.raises(PromotionRefusedError, match="version 1 serves now, and version 2 did when this was planned"):
        roll_back_model(engine, registry, "cli:ann", "complaints")
    assert entries(engine)[2:] == [("default", "model.rolled_back", "1", "cli:ben")]
    promote_model(engine, registry, 2, "cli:ann", reason="mended", force=True)
    assert roll_back_model(engine, registry, "cli:ann", "again").version == 1


def die_once_the_alias_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    def move_and_end(registry: Registry, promotion: promotions.Promotion) -> None:
        promotions.apply_promotion(registry, promotion)
        raise SystemExit(137)

    monkeypatch.setattr(promoting, "apply_promotion", move_and_end)


@pytest.mark.parametrize("has_organisation", [True, False])
def test_what_a_process_promoted_that_died_then_is_logged_by_the_next_one(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch, *, has_organisation: bool
) -> None:
    if has_organisation:
        actor_in_new(engine, "bank", "ana")
    with monkeypatch.context() as patch:
        die_once_the_alias_has_moved(patch)
        with pytest.raises(SystemExit):
            promote_model(engine, registry, 1, "cli:ann")
    name = "bank" if has_organisation else "default"
    assert entries(engine) == []
    assert unlogged_promotions(engine, Settings(var=registry.settings.var / "another")) == [], (
        "nothing is to be compared"
    )
    at = second_text(promotion_history(registry)[0].at_us)
    finding = (
        f"organisation bank (1): version 1 of {registry.name} became champion at {at}, as the registry of models says, "
        "and no entry says so; a worker that starts, or the next promotion, adds it"
    )
    settings = replace(registry.settings, model_name=registry.name)
    findings = [str(each) for each in unlogged_promotions(engine, settings)]
    assert findings == ([finding] if has_organisation else [])
    assert unlogged_promotions(engine, registry.settings) == []  # another installation's model in the same registry
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "load", lambda *_: SimpleNamespace(content_hash="ab"))
        assert ChampionWatcher(engine, settings).look()
    record_missing(engine, registry, "cli:ben", adds_organisation=True)
    assert unlogged_promotions(engine, settings) == []
    actor_in_new(engine, "later", "ana")
    assert entries(engine) == [(name, "model.promoted", "1", "system" if has_organisation else "cli:ben")]
    with monkeypatch.context() as patch:
        die_once_the_alias_has_moved(patch)
        for act in (
            lambda: promote_model(engine, registry, 2, "cli:ann"),
            lambda: roll_back_model(engine, registry, "cli:ann", "complaints"),
        ):
            with pytest.raises(SystemExit):
                act()
    promote_model(engine, registry, 2, "cli:ben", force=True, reason="mended")
    of_one = [(action, number, who) for each, action, number, who in entries(engine) if each == "later"]
    assert of_one == [
        ("model.promoted", "2", "cli:ben"),
        ("model.rolled_back", "1", "cli:ben"),
        ("model.promoted", "2", "cli:ben"),
    ]
    with Session(engine) as session:
        newest = select(AuditEntry).where(AuditEntry.action.startswith("model.")).order_by(AuditEntry.number)
        added = [json.loads(entry.details).get("added_later") for entry in session.scalars(newest)]
    assert added.count(True) == 5
    assert added.count(None) == 2
    assert verify(engine, print).findings == 0


def test_a_registry_of_yesterday_beside_the_database_of_today_is_a_finding_also_after_the_next_promotion(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was restored to before the promotion of version 2, so version 1 serves again and values everybody."""
    monkeypatch.setattr("fivefold.usecases.audit.verify._SETTLES_SECONDS", 0)
    bank = actor_in_new(engine, "bank", "ana")
    promote_model(engine, registry, 1, "cli:ann")
    before = registry.settings.registry.read_bytes()
    lost = promote_model(engine, registry, 2, "cli:ann", reason="new fees")
    settings = replace(registry.settings, model_name=registry.name)
    assert unlogged_promotions(engine, settings) == []
    registry.settings.registry.write_bytes(before)
    assert unlogged_promotions(engine, replace(settings, model_name="another")) == []  # this one serves no more
    (finding,) = unlogged_promotions(engine, settings)
    assert (finding.organisation_id, finding.number) == (bank.organisation_id, 2)
    assert f"version 2 of {registry.name} became champion at {second_text(lost.at_us)}, and the" in finding.problem
    assert "does not say so: it was restored from an earlier backup" in finding.problem
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Registry, "load", lambda *_: SimpleNamespace(content_hash="ab"))
        assert ChampionWatcher(engine, settings).look()
    assert [(line["event"], line["version"]) for line in logs if line["log_level"] == "warning"] == [
        ("promotion not in the registry", 2)
    ]
    promote_model(engine, registry, 2, "cli:ben", reason="new fees")
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Registry, "load", lambda *_: SimpleNamespace(content_hash="ab"))
        assert ChampionWatcher(engine, settings).look()
    assert not [line for line in logs if line["event"] == "promotion not in the registry"], "what serves is logged"
    opened, opening = list[str](), Registry.__init__
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "__init__", lambda *given: (opened.append(given[2]), opening(*given))[1])
        assert unlogged_promotions(engine, settings) == [finding], "the registry lacks it for good"
    assert opened == [registry.name]
    context = Context(engine, bank)
    for entry, reason, error in ((2, " ", ConfigError), (1, "restored", NotFoundError), (3, "restored", NotFoundError)):
        with pytest.raises(error):
            acknowledge_loss(context, registry, entry, reason)
    assert acknowledge_loss(context, registry, 2, "The backup was of the day before.").version == 2
    assert unlogged_promotions(engine, settings) == []
    assert verify(engine, print).findings == 0
    with pytest.raises(NotFoundError, match="such entries of this organisation: none"):
        acknowledge_loss(context, registry, 2, "twice")
    with pytest.raises(RegistryError, match=r"there is no registry of value models in .*, so none was read"):
        unlogged_promotions(engine, Settings(var=registry.settings.var / "another"))


@pytest.mark.parametrize("tag", ["cd", None])
def test_a_version_whose_content_hash_was_changed_in_the_registry_is_a_finding(
    tag: str | None, engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files may have been changed with it: then it is loaded, and values everybody."""
    monkeypatch.setattr("fivefold.usecases.audit.verify._SETTLES_SECONDS", 0)
    bank = actor_in_new(engine, "bank", "ana")
    at = second_text(promote_model(engine, registry, 1, "cli:ann").at_us)
    settings = replace(registry.settings, model_name=registry.name)
    assert unlogged_promotions(engine, settings) == []
    if tag is None:
        registry.client.delete_model_version_tag(registry.name, "1", "content_hash")
    else:
        registry.client.set_model_version_tag(registry.name, "1", "content_hash", tag)
    (finding,) = unlogged_promotions(engine, settings)
    assert (finding.organisation_id, finding.number) == (bank.organisation_id, 1)
    assert f"version 1 of {registry.name} became champion at {at} with the content hash ab, and the" in finding.problem
    registry.client.delete_model_version(registry.name, "1")
    assert unlogged_promotions(engine, settings) == [], "what is gone serves no more"


def test_where_the_log_cannot_be_written_nothing_is_promoted(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise StoreError("the database is read-only")

    monkeypatch.setattr(promotion_log, "record", failing)
    with pytest.raises(StoreError, match="read-only"):
        promote_model(engine, registry, 1, "cli:ann")
    assert registry.champion() is None
    assert promotion_history(registry) == []


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_the_environment_forges_no_name(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = account_name()
    monkeypatch.setenv(variable, "the-chief-risk-officer")
    assert account_name() == before


def test_a_container_s_user_without_a_name_promotes_under_its_number(
    engine: Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless(_: int) -> None:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    monkeypatch.setattr(os, "getuid", lambda: 10001)
    assert promote_model(engine, registry, 1, f"cli:{account_name()}").who == "10001"
