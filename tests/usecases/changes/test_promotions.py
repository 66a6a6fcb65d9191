"""A second person for promotions of value models: nobody proposes and approves, and the gate is asked twice."""

import json
from pathlib import Path
from time import sleep

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine

from fivefold.console.changes.proposal import Line, reach_lines
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError, PromotionRefusedError, RegistryError
from fivefold.domain.provenance import account_name
from fivefold.models import promotions
from fivefold.models.promotions import promotion_history
from fivefold.models.registry import Registry
from fivefold.store.sql import database
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.accounts.second_person import allow_sole_operator
from fivefold.usecases.accounts.settings import SettingsChange, read_settings
from fivefold.usecases.changes.asks import change_settings
from fivefold.usecases.changes.promotions import (
    RegistryChampions,
    decided_since,
    need_of_two_people,
    promote_model,
    propose_promotion,
    roll_back_model,
)
from fivefold.usecases.changes.proposals import ProposalLine, approve_proposal, read_proposal, refuse_proposal
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.models.making import add_bare_version, new_registry
from tests.store.audits import bind_unnamed, findings_of
from tests.usecases.governed import audited, founded

People = tuple[Actor, Actor, Actor]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Version 1 serves; the gate allows 2 and 3 instead of it, and not 4."""
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model behind them
    made = new_registry(tmp_path)
    for champion, allowed in (("", "true"), ("1", "true"), ("1", "true"), ("1", "false")):
        add_bare_version(
            made, gate_promote=allowed, gate_reasons="what it saw", gate_champion=champion, content_hash="ab"
        )
    return made


@pytest.fixture
def three(engine: Engine, registry: Registry) -> People:
    """Three people of an organisation that wants two of them, although no ruleset decides there yet."""
    three = founded(engine)
    promote_model(engine, registry, 1, "cli:ann")
    assert need_of_two_people(engine) == ""
    change_settings(Context(engine, three[0]), SettingsChange(two_people_promote=True))
    return three


def champion(registry: Registry) -> int:
    found = registry.champion()
    assert found is not None
    return found.number


def approve(engine: Engine, registry: Registry, who: Actor, proposal: ProposalLine) -> ProposalLine:
    return approve_proposal(Context(engine, who), proposal.id, "I looked at it", champions=RegistryChampions(registry))


def test_what_people_decided_on_a_version_is_known_afterwards(
    engine: Engine, registry: Registry, three: People
) -> None:
    ana, ben, _ = three
    assert decided_since(engine, registry, 2) == ""
    proposal = propose_promotion(Context(engine, ana), registry, 2, reason="mine")
    assert decided_since(engine, registry, 2) == ""
    refuse_proposal(Context(engine, ben), proposal.id, "not this one")
    assert decided_since(engine, registry, 2) == f"proposal {proposal.id} of version 2 was refused"
    approve(engine, registry, ben, propose_promotion(Context(engine, ana), registry, 3, reason="mine"))
    assert decided_since(engine, registry, 2) == "version 2 was judged against version 1, and version 3 serves now"
    roll_back_model(engine, registry, "cli:ann")
    assert decided_since(engine, registry, 3) == "version 3 was champion before, and version 1 serves now"


def test_a_new_version_was_not_champion_where_a_deleted_one_of_its_number_was(
    engine: Engine, registry: Registry
) -> None:
    promote_model(engine, registry, 1, "cli:ann")
    registry.client.delete_registered_model(registry.name)
    assert add_bare_version(registry, gate_promote="true") == 1
    assert decided_since(engine, registry, 1) == ""


def test_one_person_who_tries_to_be_two_promotes_nothing(engine: Engine, registry: Registry, three: People) -> None:
    ana, ben, _ = three
    at_machine = Actor(ana.organisation_id, "cli:ana")
    # At the machine, as before: it needs two now, forced or not.
    for force in (False, True):
        with pytest.raises(PromotionRefusedError, match="two people promote a model in acme: a member proposes it"):
            promote_model(engine, registry, 2, at_machine.name, force=force, reason="mine")
    # The machine's account is nobody in particular, so it does not propose what she would approve.
    with pytest.raises(ConflictError, match="cli:ana is not a member"):
        propose_promotion(Context(engine, at_machine), registry, 2, reason="mine")
    # She proposes it herself, and approves it as herself, as the machine, and as a program.
    proposal = propose_promotion(Context(engine, ana), registry, 2, reason="mine")
    for who in (ana, at_machine, Actor(ana.organisation_id, "token:7")):
        with pytest.raises(ConflictError, match=r"another person approves it|is not a member"):
            approve(engine, registry, who, proposal)
    # She takes the need for a second person away, alone.
    asked = change_settings(Context(engine, ana), SettingsChange(two_people_promote=False), "it is in my way")
    assert asked.proposal is not None
    with pytest.raises(ConflictError, match="another person approves it"):
        approve_proposal(Context(engine, ana), asked.proposal.id, "still in my way")
    with pytest.raises(ConflictError, match="a sole operator can be allowed only before that"):
        allow_sole_operator(Context(engine, at_machine), "there is only me")
    assert read_settings(Context(engine, ana)).two_people_promote
    assert champion(registry) == 1
    # Another person approves, and it serves.
    assert approve(engine, registry, ben, proposal).state == "approved"
    assert champion(registry) == 2
    bind_unnamed(engine)
    assert findings_of(engine) == []


def test_a_proposal_says_where_it_gives_other_money(engine: Engine, registry: Registry, three: People) -> None:
    for number, days in (("1", 90), ("2", 30)):
        definition = json.dumps({"currency": "EUR", "horizon_days": days})
        registry.client.set_model_version_tag(registry.name, number, "definition", definition)
    proposal = propose_promotion(Context(engine, three[0]), registry, 2)
    [said] = proposal.reach["money"]
    assert said.startswith("version 2 gives money in EUR over 30 days, and version 1 gives it in EUR over 90 days; ")
    assert Line("Money", said) in reach_lines(proposal.reach, {})


def test_both_people_stand_in_the_log_and_in_mlflow(engine: Engine, registry: Registry, three: People) -> None:
    actor_in_new(engine, "elsewhere", "cli:x")
    ana, ben, _ = three
    proposal = propose_promotion(Context(engine, ana), registry, 2)
    assert (proposal.kind, proposal.reason, proposal.reach) == ("model.promote", "what it saw", {"gate": "what it saw"})
    assert proposal.subject == f"{registry.name} version 2 as champion"
    assert [one.version for one in promotion_history(registry)] == [1]
    approve(engine, registry, ben, proposal)
    made = promotion_history(registry)[-1]
    assert (made.version, made.replaced, made.who) == (2, 1, "member:1, approved by member:2")
    told = [who for who, action, *_ in audited(engine) if action == "model.promoted"]
    assert sorted(told) == sorted(["cli:ann", "member:2", f"cli:{account_name()}"]), "the last one elsewhere"


def test_the_gate_is_asked_again_when_it_is_approved(engine: Engine, registry: Registry, three: People) -> None:
    ana, ben, _ = three
    with pytest.raises(PromotionRefusedError, match="version 4 is not promoted: the gate said"):
        propose_promotion(Context(engine, ana), registry, 4, reason="please")
    first, second = (propose_promotion(Context(engine, ana), registry, number) for number in (2, 3))
    approve(engine, registry, ben, first)
    with pytest.raises(PromotionRefusedError, match="it was judged against 1, and version 2 serves"):
        approve(engine, registry, ben, second)
    assert read_proposal(Context(engine, ben), second.id).state == "proposed"
    assert champion(registry) == 2


def test_against_the_gate_two_people_are_needed_and_only_for_what_they_saw(
    engine: Engine, registry: Registry, three: People
) -> None:
    ana, ben, cyd = three
    forced = propose_promotion(Context(engine, ana), registry, 4, force=True, reason="new fees")
    assert forced.subject.endswith("version 4 as champion against the gate")
    approve(engine, registry, ben, propose_promotion(Context(engine, cyd), registry, 2))
    with pytest.raises(
        PromotionRefusedError, match="version 1 served when this was proposed, and version 2 serves now"
    ):
        approve(engine, registry, ben, forced)
    refuse_proposal(Context(engine, ben), forced.id, "version 2 serves")
    again = propose_promotion(Context(engine, ana), registry, 4, force=True, reason="new fees")
    registry.client.set_model_version_tag(registry.name, "4", "content_hash", "another")
    with pytest.raises(PromotionRefusedError, match="version 4 is not the model that was proposed"):
        approve(engine, registry, ben, again)
    registry.client.set_model_version_tag(registry.name, "4", "content_hash", "ab")
    approve(engine, registry, ben, again)
    assert (champion(registry), promotion_history(registry)[-1].forced) == (4, True)


def test_a_rollback_needs_one_person_and_the_way_back_two(engine: Engine, registry: Registry, three: People) -> None:
    ana, ben, _ = three
    approve(engine, registry, ben, propose_promotion(Context(engine, ana), registry, 2))
    roll_back_model(engine, registry, "cli:ann", "complaints")
    assert champion(registry) == 1
    assert audited(engine)[-1][:2] == ("cli:ann", "model.rolled_back")
    with pytest.raises(PromotionRefusedError, match="two people promote a model in acme"):
        promote_model(engine, registry, 2, "cli:ann")


def test_where_the_alias_does_not_move_nothing_was_approved(
    engine: Engine, registry: Registry, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben, _ = three
    proposal = propose_promotion(Context(engine, ana), registry, 2)
    before = audited(engine)

    def failing(*_: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", failing)
    with pytest.raises(RegistryError, match="disk full"):
        approve(engine, registry, ben, proposal)
    assert audited(engine) == before
    assert read_proposal(Context(engine, ben), proposal.id).state == "proposed"
    assert champion(registry) == 1


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_registry_that_answers_late_leaves_no_version_serving_that_nobody_approved(
    engine: Engine, registry: Registry, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben, _ = three
    proposal = propose_promotion(Context(engine, ana), registry, 2)
    set_alias = registry.set_alias

    def set_late(name: str, number: int) -> None:
        set_alias(name, number)
        sleep(0.15)

    monkeypatch.setattr(database, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: sleep(0.15))
    monkeypatch.setattr(registry, "set_alias", set_late)
    approve(engine, registry, ben, proposal)
    assert read_proposal(Context(engine, ben), proposal.id).state == "approved"
    roll_back_model(engine, registry, "cli:ann", "Their money is wrong.")
    assert champion(registry) == 1


def test_without_a_registry_it_is_refused_and_can_be_withdrawn(
    engine: Engine, registry: Registry, three: People
) -> None:
    ana, ben, _ = three
    proposal = propose_promotion(Context(engine, ana), registry, 2)
    with pytest.raises(ConflictError, match="at the machine that has the model registry"):
        approve_proposal(Context(engine, ben), proposal.id, "by the API")
    with pytest.raises(NotFoundError, match=f"there is no proposal {proposal.id}"):
        approve_proposal(Context(engine, ben), proposal.id, "by the API", Role.APPROVER)
    assert refuse_proposal(Context(engine, ana), proposal.id, "not yet").state == "withdrawn"


def test_who_wants_no_second_person_proposes_nothing(engine: Engine, registry: Registry, three: People) -> None:
    other = actor_in_new(engine, "elsewhere", "member:9")
    with pytest.raises(PromotionRefusedError, match="two people promote a model in acme"):
        propose_promotion(Context(engine, other), registry, 2)
    with pytest.raises(ConfigError, match="two_people_promote is 1; it must be true or false"):
        change_settings(Context(engine, three[0]), SettingsChange(two_people_promote=1), "one")
