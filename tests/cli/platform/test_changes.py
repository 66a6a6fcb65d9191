"""`fivefold proposals`: a token says who acts; an account of the machine is nobody."""

import json
import re
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine

from fivefold.cli.terminal import open_registry
from fivefold.cli.value_model import train
from fivefold.models.registry import Registry
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.rulesets import Proposal
from fivefold.training.config import read_config
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import actor_in
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.changes.asks import put_list_version
from fivefold.usecases.changes.backtests import BACKTESTS, request_backtest
from fivefold.usecases.changes.contents import TagChanged
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.cli.running import Home, cells, refuse, run, succeed
from tests.usecases.governed import NOW, document

WHY = ("--reason", "as agreed")


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A ruleset that decides, and the tokens of two publishers and an investigator."""
    monkeypatch.delenv("FIVEFOLD_TOKEN", raising=False)
    tokens = {}
    for name, role in (("ana", "publisher"), ("ben", "publisher"), ("eve", "investigator"), ("ada", "admin")):
        succeed(tmp_path, "members", "add", name, "--role", role)
        tokens[name] = run(tmp_path, "tokens", "create", "--role", role, "--member", name).out.strip()
    engine = create_engine(f"sqlite:///{tmp_path / 'fivefold.db'}")
    ana = actor_in(engine, "default", "member:1")
    choose_levels(Context(engine, ana), ("low", "medium", "high"))
    define_type(Context(engine, ana).at(NOW), "customer", {"country": "country", "income": "number"})
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    save_draft(Context(engine, ana), document())
    commit(Context(engine, ana), "retail", 1)
    request_backtest(Context(engine, ana), "retail", 1)
    assert run_next_job(engine, BACKTESTS)
    activate(Context(engine, Actor(ana.organisation_id, "member:2")), "retail", 1, "our first")
    engine.dispose()
    return tokens


def deciding(var: Path, decision: str = "approve") -> tuple[object, ...]:
    """Give the command that decides on the first proposal, with the moment that `show` writes."""
    moment = re.search(r" at (\S+): ", succeed(var, "proposals", "show", 1, columns=400))
    assert moment
    return ("proposals", decision, 1, *WHY, "--proposed-at", moment[1])


def test_one_proposes_and_another_approves(tmp_path: Path, people: dict[str, str]) -> None:
    switch = ("proposals", "switch", "retail", "--off", *WHY)
    assert "is not a member: two people change what decides" in refuse(tmp_path, *switch)
    said = succeed(tmp_path, *switch, "--token", people["ana"])
    assert said.startswith("Proposal 1: ruleset retail off. Another person has to approve it")
    approve = deciding(tmp_path)
    assert "is not a member" in refuse(tmp_path, *approve)
    assert "member:1 proposed 1: another person approves it" in refuse(tmp_path, *approve, "--token", people["ana"])
    assert "is of the role investigator" in refuse(tmp_path, *approve, "--token", people["eve"])
    assert "the token is not valid in default" in refuse(tmp_path, *approve, "--token", "unknown")
    (row,) = cells(succeed(tmp_path, "proposals", "list"), "Proposals")
    assert row[:3] == ["1", "proposed", "ruleset retail off"]
    assert succeed(tmp_path, *approve, "--token", people["ben"]) == "Proposal 1 is approved: ruleset retail off.\n"
    shown = succeed(tmp_path, "proposals", "show", 1)
    assert "approved by member:2: as agreed" in shown


def test_what_was_looked_at_is_approved_and_nothing_else(
    tmp_path: Path, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restore another change may have the number."""
    token = ("--token", people["ben"])
    said = succeed(tmp_path, "proposals", "switch", "retail", "--off", *WHY, "--token", people["ana"], columns=400)
    *approve, _, moment = deciding(tmp_path)
    assert f"fivefold proposals approve 1 --proposed-at {moment}\n" in said
    another = refuse(tmp_path, *approve, "--proposed-at", "2001-01-01", *token)
    assert moment[:19] in another
    without = refuse(tmp_path, *approve, *token)
    assert without.startswith("nothing was done: proposal 1 is ruleset retail off, by member:1 at ")
    assert without.endswith(f"--proposed-at {moment}")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run(tmp_path, *approve, *token).code == 2
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    succeed(tmp_path, "proposals", "switch", "retail", "--off", *WHY, *token)
    approved = succeed(tmp_path, *approve, *token, columns=400)
    assert approved.startswith("Proposal 1 is ruleset retail off, by member:1 at ")
    assert 'Would change: {"family": "retail"' in approved
    assert '"entities": {"customer": 0}' in approved
    assert "Also proposed about the same: 2\n" in approved
    assert approved.endswith("Proposal 1 is approved: ruleset retail off.\n")


def test_what_was_looked_at_is_refused_and_nothing_else(
    tmp_path: Path, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restore another change may have the number."""
    token = ("--token", people["ben"])
    sentence = ("--reason", "As agreed.")
    succeed(tmp_path, "proposals", "switch", "retail", "--off", *sentence, "--token", people["ana"])
    *by_number, _, moment = deciding(tmp_path, "refuse")
    without = refuse(tmp_path, *by_number, *token)
    assert without.endswith(f": As agreed. Say that you looked at it: --proposed-at {moment}")
    assert moment[:19] in refuse(tmp_path, *by_number, "--proposed-at", "2001-01-01", *token)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run(tmp_path, *by_number, *token).code == 2
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    refused = succeed(tmp_path, *by_number, *token, columns=400)
    assert refused.startswith("Proposal 1 is ruleset retail off, by member:1 at ")
    assert refused.endswith("Proposal 1 is refused: ruleset retail off.\n")


def propose_end_of_tag(var: Path, *, reach: dict[str, Any], with_tag: bool = False, by: str = "member:1") -> None:
    """Let there be a proposal to end a tag of a customer, as another release may have stored it."""
    engine = create_engine(f"sqlite:///{var / 'fivefold.db'}")
    context = Context(engine, actor_in(engine, "default", "member:1"))
    with context.writing() as session:
        organisation = context.organisation_id
        customer = Entity(organisation_id=organisation, type_id=1, external_id="c1", created_us=NOW)
        session.add(customer)
        session.flush()
        content = TagChanged(customer.id, "vip", None, ended=True)
        session.add(
            Proposal(
                organisation_id=organisation,
                entity_id=customer.id,
                kind=content.kind,
                subject=content.subject,
                content=asdict(content),
                reach=reach,
                reason="no longer",
                proposed_by=by,
                proposed_us=NOW,
                state="proposed",
            )
        )
    if with_tag:
        set_tag(context, "customer", "c1", "vip")
    engine.dispose()


@pytest.fixture
def pia(tmp_path: Path, people: dict[str, str]) -> str:
    """Give the token of an approver."""
    succeed(tmp_path, "members", "add", "pia", "--role", "approver")
    return run(tmp_path, "tokens", "create", "--role", "approver", "--member", "pia").out.strip()


def test_approvers_decide_at_the_terminal_on_what_is_about_one_customer(
    tmp_path: Path, people: dict[str, str], pia: str
) -> None:
    """As over `/v1`; who does not decide on it hears so before a moment is asked for."""
    propose_end_of_tag(tmp_path, reach={})
    for decision in ("approve", "refuse"):
        refused = refuse(tmp_path, "proposals", decision, 1, *WHY, "--token", people["ben"])
        assert refused == "proposal 1 is about one entity, which approvers and admins decide"
    succeed(tmp_path, "proposals", "switch", "retail", "--off", *WHY, "--token", people["ana"])
    missing = refuse(tmp_path, "proposals", "approve", 2, *WHY, "--token", pia)
    assert missing == "in the organisation 'default' there is no proposal 2"
    assert "Cannot be approved any more: " in succeed(tmp_path, "proposals", "show", 1)
    assert "Proposal 1 is refused" in succeed(tmp_path, *deciding(tmp_path, "refuse"), "--token", pia)


def test_a_change_about_one_customer_is_approved_at_the_terminal_with_the_levels_of_now(
    tmp_path: Path, pia: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fall = {"entity_type": "customer", "external_id": "c1", "before": ["high"] * 3, "after": ["low"] * 3}
    propose_end_of_tag(tmp_path, reach={"falls": [fall]}, with_tag=True)
    approve = deciding(tmp_path)
    moved = refuse(tmp_path, *approve, "--token", pia)
    assert "are now: none falls; refuse proposal 1, and propose the change again" in moved
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    shown = succeed(tmp_path, *approve[:-2], "--token", pia, columns=400)
    assert 'Would reach now: {"falls": []}\n' in shown
    assert shown.endswith("Proposal 1 is approved: end of tag 'vip' of c1.\n")


def test_an_investigator_withdraws_at_the_terminal_what_they_proposed_and_nothing_else(
    tmp_path: Path, people: dict[str, str]
) -> None:
    propose_end_of_tag(tmp_path, reach={}, by="member:3")
    succeed(tmp_path, "proposals", "switch", "retail", "--off", *WHY, "--token", people["ana"])
    eve = ("--token", people["eve"])
    assert "there is no proposal 2" in refuse(tmp_path, "proposals", "refuse", 2, *WHY, *eve)
    assert "Proposal 1 is withdrawn" in succeed(tmp_path, *deciding(tmp_path, "refuse"), *eve)


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_whose_role_is_taken_away_while_the_terminal_asks_decides_nothing(
    tmp_path: Path, pia: str, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    propose_end_of_tag(tmp_path, reach={"falls": []}, with_tag=True)

    class Slow(Terminal):
        def readline(self, *_: Any) -> str:
            succeed(tmp_path, "members", "roles", 5, "--role", "investigator")
            return super().readline()

    monkeypatch.setattr("sys.stdin", Slow("y\n"))
    done = run(tmp_path, "proposals", decision, 1, *WHY, "--token", pia)
    ended = "the token by which member:5 acts has ended, so nothing was changed; act by another one"
    assert (done.code, done.err) == (2, f"fivefold: {ended}\n")
    assert "Proposal 1, proposed" in succeed(tmp_path, "proposals", "show", 1)


class Terminal(StringIO):
    """A person at a keyboard."""

    def isatty(self) -> bool:
        return True


def test_a_token_of_the_environment_says_who_acts(
    tmp_path: Path, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIVEFOLD_TOKEN", people["ada"])
    assert "Proposal 1: override_cap_percent" in succeed(tmp_path, "proposals", "settings", "--override-cap", 5, *WHY)
    assert succeed(tmp_path, *deciding(tmp_path, "refuse")) == "Proposal 1 is withdrawn: override_cap_percent.\n"
    monkeypatch.setenv("FIVEFOLD_TOKEN", people["ana"])
    assert "proposed by admins" in refuse(tmp_path, "proposals", "settings", "--override-cap", 5, *WHY)


def test_two_people_promote_a_model(registry: Path, monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    tokens = {}
    for name, role in (("ana", "publisher"), ("ben", "publisher"), ("ada", "admin")):
        succeed(registry, "members", "add", name, "--role", role)
        tokens[name] = ("--token", run(registry, "tokens", "create", "--role", role, "--member", name).out.strip())
    engine = create_engine(f"sqlite:///{registry / 'fivefold.db'}")
    choose_levels(Context(engine, actor_in(engine, "default", "member:1")), ("low", "medium", "high"))
    engine.dispose()
    assert "Done at once" in succeed(registry, "proposals", "settings", "--two-people-promote", *WHY, *tokens["ada"])

    force = ("promote", 2, "--force", "--reason", "new fees")
    assert refuse(registry, *force).startswith("two people promote a model in default: a member proposes it with")
    assert refuse(registry, *force, "--token", "unknown") == (
        "the token is not valid in default; it is from --token or FIVEFOLD_TOKEN"
    )
    said = succeed(registry, *force, *tokens["ana"], columns=400)
    assert said.startswith(
        "Proposal 1: fivefold-value version 2 as champion against the gate. Another person has to approve it"
    )
    approve = deciding(registry)
    assert "another person approves it" in refuse(registry, *approve, *tokens["ana"])
    assert succeed(registry, *approve, *tokens["ben"]).startswith("Proposal 1 is approved")
    models = succeed(registry, "models", columns=400)
    assert "by member:1, approved by member:2" in models
    assert ", version 2: new fees\n" in models
    assert succeed(registry, "rollback").startswith("Version 1 is the champion now instead of version 2")

    # What a training run promotes by itself is proposed too, where it says for whom; without a token it stays.
    champion, promoted, ask = training(registry, monkeypatch, home)
    assert succeed(registry, *ask) == ""
    assert "the token is not valid in default" in refuse(registry, *ask, "--token", "unknown")
    assert promoted == [None], "a wrong token is refused before anything is trained"
    set_money(champion)
    done = run(registry, *ask, *tokens["ana"], columns=400)
    assert "Proposal 2: fivefold-value version 2 as champion. Another" in done.out
    assert done.err.startswith(MONEY)
    assert promoted == [None, None]


def test_training_that_promotes_warns_of_other_money(
    registry: Path, monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    champion, promoted, ask = training(registry, monkeypatch, home)
    set_money(champion)
    assert run(registry, *ask, columns=400).err.startswith(MONEY)
    assert promoted[0].version == 2


MONEY = "warning: version 2 gives money in USD over 90 days, and version 1 gives it in EUR over 90 days; "


def training(
    registry: Path, monkeypatch: pytest.MonkeyPatch, home: Home
) -> tuple[Registry, list[Any], tuple[object, ...]]:
    """Let a training run end with version 2, which the gate allows; give its promotions, and the command."""
    settings, champion = read_config(home.config), open_champion(registry, monkeypatch)
    champion.client.set_model_version_tag(champion.name, "2", "gate_promote", "true")
    promoted: list[Any] = []

    def retrain(*_: object, promote_by: Any, **__: object) -> SimpleNamespace:
        promoted.append(promote_by(champion, 2))
        judged = SimpleNamespace(promote=True)
        return SimpleNamespace(version=2, promoted=promoted[-1] is not None, verdict=judged, refusal="")

    monkeypatch.setattr("fivefold.training.retrain.retrain", retrain)
    monkeypatch.setattr(train, "show_outcome", lambda *_: None)
    return champion, promoted, ("train", "--data", home.rows, "--config", home.config, "--name", settings.name)


def set_money(registry: Registry) -> None:
    """Let version 2 give other money than version 1."""
    for number, currency in (("1", "EUR"), ("2", "USD")):
        definition = json.dumps({"currency": currency, "horizon_days": 90})
        registry.client.set_model_version_tag(registry.name, number, "definition", definition)


def open_champion(registry: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("FIVEFOLD_VAR", str(registry))
    return open_registry()


def test_every_other_change_is_proposed_too(tmp_path: Path, people: dict[str, str]) -> None:
    file = tmp_path / "watched.yaml"
    file.write_text("{list: watched, title: W, source: us, versions: [{since: 2026-12-01, members: [KP]}]}")
    token = ("--token", people["ana"])
    assert "Proposal 1: list watched" in succeed(tmp_path, "proposals", "add-list", file, *WHY, *token)
    assert "Proposal 2: order of the rulesets" in succeed(tmp_path, "proposals", "order", "retail", *WHY, *token)
    assert "is active already" in refuse(tmp_path, "proposals", "rollback", "retail", 1, *WHY, *token)
    assert "no version 1 of a policy" in refuse(tmp_path, "proposals", "retire-policy", "pay", 1, *WHY, *token)
    assert "backtests are not needed" in succeed(tmp_path, "proposals", "backtests", 1, *token)


def test_a_set_up_is_made_again_with_drafts_there_and_alone_where_that_is_chosen(tmp_path: Path) -> None:
    setup = ("import", "setup", "fatf-retail")
    succeed(tmp_path, *setup, "--sole-operator", "a try-out")
    engine = create_engine(f"sqlite:///{tmp_path / 'fivefold.db'}")
    from fivefold.usecases.portfolio_files.bundled import bundled_text

    save_draft(Context(engine, actor_in(engine, "default", "cli:ana")), bundled_text("fatf-retail"))
    engine.dispose()
    assert succeed(tmp_path, *setup).startswith("default has the levels low, medium, high, critical")
    assert "organisation.sole_operator" in succeed(tmp_path, "audit", "show", columns=200)
    assert "Two people are needed" in succeed(tmp_path, "proposals", "two-people", *WHY)
