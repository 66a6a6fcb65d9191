"""Purposes on the platform: nothing that reads what was gathered against money laundering comes to serve commerce."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError
from fivefold.store.tables.entities import EntityType, ListVersionRow
from fivefold.store.tables.events import Policy
from fivefold.store.tables.rulesets import Activation, RulesetVersion
from fivefold.usecases.accounts import entity_types
from fivefold.usecases.accounts.entity_types import define_type, list_types
from fivefold.usecases.accounts.lists import list_lists, named_lists
from fivefold.usecases.accounts.purposes import refuse_feeding_commerce
from fivefold.usecases.changes import asks
from fivefold.usecases.decisions import policies
from fivefold.usecases.decisions.policies import approve_policy, check_policy, propose_policy
from fivefold.usecases.groups.versions import approve_group, propose_group, retire_group
from fivefold.usecases.rulesets import activate as rulesets_activate
from fivefold.usecases.rulesets.activate import activate, what_stands_against
from fivefold.usecases.rulesets.check import check_text
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.store.filling import filled_once
from tests.usecases.at_once import switch_family
from tests.usecases.governed import DAY, NOW, agreed, document, founded, rows_of, store_backtest, together

People = tuple[Actor, Actor, Actor]
Data = dict[str, Any]
WHY = "because of the test"


def ruleset_text(*tests: Data, name: str = "good-customers", purpose: str = "commercial", **more: Any) -> str:
    """A ruleset for commerce, whose cases test something each."""
    cases = [{"when": test, "points": 40} for test in tests]
    whole: Data = {
        "ruleset": name,
        "entity_type": "customer",
        "purpose": purpose,
        "fields": {"country": "country", "income": "number"},
        "purposes": {"fields": {"income": "both", "country": "both"}},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [30, 60]}},
        "max_recompute_interval": "180 days",
        "coverage": {"rules": 0, "cases": 0},
        "rules": [{"id": "worth", "title": "W", "category": "other", "input": {"value": "score"}, "cases": cases}],
    }
    return json.dumps({**whole, **more})


def policy_text(test: Data, **more: Any) -> str:
    whole: Data = {
        "policy": "welcome-offer",
        "entity_type": "customer",
        "purpose": "commercial",
        "fields": {"income": "number"},
        "levels": ["low", "medium", "high"],
        "actions": ["nothing", "offer"],
        "wins": "first",
        "otherwise": "nothing",
        "rules": [{"id": "big-spender", "title": "B", "when": test, "action": "offer"}],
    }
    return json.dumps({**whole, **more})


WORTH: Data = {"value": "score", "at_least": 4}
LEVEL: Data = {"level": "in_force", "equals": "low"}
LISTED: Data = {"field": "country", "in_list": "watched"}


def prepared(engine: Engine) -> People:
    people = founded(engine)
    asks.change_settings(Context(engine, people[0]).at(NOW), asks.SettingsChange(minimum_coverage_percent=0), WHY)
    say(engine, people, {"fields": {"income": "both", "country": "both"}})
    put(engine, people, "both")
    return people


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return prepared(engine)


def say(engine: Engine, people: People, purposes: Data) -> None:
    define_type(Context(engine, people[0]).at(NOW), "customer", {}, purposes=purposes)


def put(engine: Engine, people: People, purpose: str | None, since_us: int = 0) -> asks.ChangeOutcome:
    context = Context(engine, people[0]).at(NOW)
    return asks.put_list_version(context, "watched", since_us, ["IR"], "Watched", "our own", WHY, purpose=purpose)


def committed(engine: Engine, people: People, text: str, name: str = "good-customers") -> int:
    saved = save_draft(Context(engine, people[0]).at(NOW), text)
    version = commit(Context(engine, people[1]).at(NOW), name, saved.revision, WHY).number
    store_backtest(engine, people[0].organisation_id, name, version, NOW)
    return version


def decides(engine: Engine, people: People, text: str, name: str = "good-customers") -> None:
    activate(Context(engine, people[2]).at(NOW), name, committed(engine, people, text, name), WHY)


def offered(engine: Engine, people: People, text: str) -> None:
    line = propose_policy(Context(engine, people[0]).at(NOW), text, WHY, WHY)
    approve_policy(Context(engine, people[1]).at(NOW), line.name, line.number, WHY)


@pytest.mark.postgresql
def test_a_policy_for_commerce_that_reads_a_level_is_refused_with_its_path(engine: Engine, three: People) -> None:
    standing: Data = {"unit": "days", "of": {"level": "age_days"}}
    half: Data = {"unit": "days", "multiply": [{"calculation": "standing"}, 0.5]}
    between = policy_text({"calculation": "half", "above": 1}, calculate={"half": half, "standing": standing})
    refused = {
        policy_text(LEVEL): "action offer → rule big-spender → level in_force",
        between: "rule big-spender → calculation half → calculation standing → level age_days",
        policy_text({"any": [WORTH, {"screening": "pep", "is": "absent"}]}): "rule big-spender → screening pep",
        policy_text({"field": "income", "above": 1}): "rule big-spender → field income",
        policy_text(LEVEL, purposes={"level": "both"}): "rule big-spender → level in_force",
    }
    for text, path in refused.items():
        with pytest.raises(InvalidRulesetError, match=path):
            propose_policy(Context(engine, three[0]).at(NOW), text, WHY, WHY)
        assert any(finding.fatal and finding.line for finding in check_policy(Context(engine, three[0]), text))
    assert not rows_of(engine, Policy)
    offered(
        engine,
        three,
        policy_text({"any": [WORTH, {"field": "income", "above": 1}]}, purposes={"fields": {"income": "both"}}),
    )
    assert [row["state"] for row in rows_of(engine, Policy)] == ["active"]


def test_a_ruleset_for_commerce_is_committed_where_it_reads_what_is_for_both(engine: Engine, three: People) -> None:
    silent: Data = {"purposes": {"fields": {"income": "both"}}}
    refused = {
        ruleset_text(WORTH, {"tag": "vip", "is": "present"}, name="tagged"): "rule worth → tag vip",
        ruleset_text(
            WORTH, name="all", purpose="both", applies_to={"screening": "pep", "is": "absent"}
        ): "screening pep",
        ruleset_text(LISTED, name="silent", **silent): "rule worth → field country",
        ruleset_text(WORTH, {"field": "country", "in_list": "other"}, name="listed"): "rule worth → list other",
    }
    asks.put_list_version(Context(engine, three[0]).at(NOW), "other", 0, ["IR"], "Other", "our own", WHY)
    for text, path in refused.items():
        name = json.loads(text)["ruleset"]
        saved = save_draft(Context(engine, three[0]).at(NOW), text)
        with pytest.raises(InvalidRulesetError, match=path):
            commit(Context(engine, three[1]).at(NOW), name, saved.revision, WHY)
        assert any(path in finding.problem for finding in check_text(Context(engine, three[0]).at(NOW), text).errors)
    assert not rows_of(engine, RulesetVersion)
    decides(engine, three, ruleset_text(WORTH, LISTED))
    assert len(rows_of(engine, Activation)) == 1


def test_a_list_that_becomes_aml_stops_what_was_committed_before(engine: Engine, three: People) -> None:
    number = committed(engine, three, ruleset_text(LISTED))
    assert what_stands_against(Context(engine, three[2]).at(NOW), "good-customers", number) == ()
    put(engine, three, "aml", NOW + DAY)  # in a day, and its members are gathered from now on
    activating = Context(engine, three[2]).at(NOW)
    with pytest.raises(ConflictError, match=r"good-customers would feed commerce: .* rule worth → list watched"):
        activate(activating, "good-customers", number, WHY)
    assert any("list watched" in why for why in what_stands_against(activating, "good-customers", number))
    assert not rows_of(engine, Activation)
    put(engine, three, "both", NOW + 2 * DAY)  # what was gathered so stays so
    with pytest.raises(ConflictError, match="list watched"):
        activate(activating, "good-customers", number, WHY)
    assert named_lists_of(engine, three)["watched"] == "aml"


def test_data_for_aml_do_not_decide_on_whom_a_ruleset_for_commerce_decides(engine: Engine, three: People) -> None:
    decides(engine, three, ruleset_text(WORTH))
    silent: Data = {"applies_to": {"field": "income", "above": 1000}, "purposes": {}}
    decides(engine, three, ruleset_text(WORTH, name="watch", purpose="aml", **silent), "watch")
    context = Context(engine, three[0]).at(NOW)
    path = "ruleset good-customers → ruleset watch, which is tried before it → applies_to → field income"
    with pytest.raises(ConflictError, match=f"ruleset good-customers would feed commerce: .*{path}"):
        agreed(engine, three[1], asks.order_families(context, "customer", ["watch", "good-customers"], WHY), NOW)
    spoken = ruleset_text(WORTH, name="watch", purpose="aml", applies_to=silent["applies_to"])
    decides(engine, three, spoken, "watch")
    agreed(engine, three[1], asks.order_families(context, "customer", ["watch", "good-customers"], WHY), NOW)
    again = ruleset_text(WORTH, name="watch", purpose="aml", **silent)
    with pytest.raises(ConflictError, match=path):
        decides(engine, three, again, "watch")


def named_lists_of(engine: Engine, three: People) -> dict[str, str | None]:
    with Context(engine, three[0]).reading() as session:
        return {name: each.purpose for name, each in named_lists(session, three[0].organisation_id).items()}


def test_a_list_does_not_become_aml_while_commerce_reads_it(engine: Engine, three: People) -> None:
    decides(engine, three, ruleset_text(LISTED))
    for purpose in (None, "commercial"):
        outcome = put(engine, three, purpose, NOW - DAY * (2 if purpose is None else 1))
        store_backtest(engine, three[0].organisation_id, "good-customers", 1, NOW)
        agreed(engine, three[1], outcome, NOW)
    with pytest.raises(ConflictError, match="ruleset good-customers would feed commerce"):
        put(engine, three, "aml", NOW)
    assert [line.purpose for line in list_lists(Context(engine, three[0]))] == ["both", None, "commercial"]
    switch_family(Context(engine, three[0]).at(NOW), "good-customers", on=False, reason=WHY)
    agreed(engine, three[1], put(engine, three, "aml", NOW), NOW)
    with pytest.raises(ConflictError, match="ruleset good-customers would feed commerce"):
        switch_family(Context(engine, three[0]).at(NOW), "good-customers", on=True, reason=WHY)
    assert rows_of(engine, Activation)[-1]["kind"] == "off"


def test_a_field_does_not_become_aml_while_commerce_reads_it_and_never_stops_being(
    engine: Engine, three: People
) -> None:
    offered(engine, three, policy_text({"field": "income", "above": 1}, purposes={"fields": {"income": "both"}}))
    with pytest.raises(ConflictError, match=r"policy welcome-offer would feed commerce: .* field income"):
        say(engine, three, {"fields": {"income": "aml"}})
    say(engine, three, {"fields": {"country": "aml"}, "tags": {"vip": "both"}})
    say(engine, three, {"fields": {"country": "both"}})
    (line,) = list_types(Context(engine, three[0]))
    assert line.purposes == {"fields": {"income": "both", "country": "aml"}, "tags": {"vip": "both"}}
    for wrong in ({"fields": {"incom": "both"}}, {"fields": {"income": "trade"}}, {"field": {}}):
        with pytest.raises(ConfigError, match="purposes"):
            say(engine, three, wrong)


def test_a_level_is_for_what_every_ruleset_is_for_that_ever_decided(engine: Engine, three: People) -> None:
    text = policy_text(LEVEL, purposes={"level": "commercial"})
    with pytest.raises(InvalidRulesetError, match="level in_force"):  # nothing decides yet
        propose_policy(Context(engine, three[0]).at(NOW), text, WHY, WHY)
    decides(engine, three, ruleset_text(WORTH))
    offered(engine, three, text)
    number = committed(engine, three, document("retail"), "retail")
    activating = Context(engine, three[2]).at(NOW)
    assert any("level in_force" in why for why in what_stands_against(activating, "retail", number))
    with pytest.raises(ConflictError, match=r"policy welcome-offer would feed commerce: .* level in_force"):
        activate(activating, "retail", number, WHY)
    agreed(engine, three[1], asks.retire_policy(Context(engine, three[0]).at(NOW), "welcome-offer", 1, WHY), NOW)
    activate(activating, "retail", number, WHY)
    switch_family(Context(engine, three[0]).at(NOW), "retail", on=False, reason=WHY)
    with pytest.raises(InvalidRulesetError, match="level in_force"):  # levels outlast what set them
        offered(engine, three, text)


def test_transactions_of_what_is_owned_count_by_what_its_type_says(engine: Engine, three: People) -> None:
    kinds: Data = {"hint": "text", "suspect": "flag"}
    define = partial(define_type, Context(engine, three[0]).at(NOW))
    define("customer", {}, kinds, purposes={"transaction_fields": dict.fromkeys(kinds, "both")})
    define("account", {}, {"suspect": "flag"}, purposes={"transaction_fields": {"suspect": "aml"}})
    test: Data = {"input": {"count": "transactions", "where": {"field": "suspect", "equals": True}}}
    rule: Data = {"id": "worth", "title": "W", "category": "other", **test}
    more: Data = {
        "transaction_fields": kinds,
        "purposes": {"transaction_fields": dict.fromkeys(kinds, "both")},
        "rules": [{**rule, "cases": [{"when": {"at_least": 1}, "points": 40}]}],
    }
    with pytest.raises(InvalidRulesetError, match="rule worth → transaction field suspect"):
        decides(engine, three, ruleset_text(name="suspects", **more), "suspects")
    hinted = ruleset_text(**more).replace('"field": "suspect", "equals": true', '"field": "hint", "equals": "a"')
    decides(engine, three, hinted)
    for said in ({}, {"transaction_fields": {"hint": "aml"}}):
        with pytest.raises(ConflictError, match=r"good-customers would feed commerce: .* transaction field hint"):
            define("account", {}, {"hint": "text"}, purposes=said)
    define("account", {}, {"hint": "text"}, purposes={"transaction_fields": {"hint": "both"}})


def test_what_is_aml_reads_everything_as_before(engine: Engine, three: People) -> None:
    put(engine, three, "aml", NOW - DAY)
    decides(engine, three, document("retail"), "retail")
    offered(engine, three, policy_text({"all": [LEVEL, WORTH]}, purpose="aml"))


@pytest.mark.postgresql
def test_purposes_are_bound_by_the_audit_log(engine: Engine, three: People) -> None:
    bind_unnamed(engine)
    assert findings_of(engine) == []
    with forged(engine) as connection:
        connection.execute(update(ListVersionRow).values(purpose="commercial"))
        connection.execute(update(EntityType).values(purposes={"fields": {"income": "commercial"}}))
    assert len(findings_of(engine)) == 2


Work = Callable[[Engine, Any], object]
BOTH: Data = {"purposes": {"fields": {"income": "both"}}}


def approving(engine: Engine, people: People) -> Work:
    line = propose_policy(
        Context(engine, people[0]).at(NOW), policy_text({"field": "income", "above": 1}, **BOTH), WHY, WHY
    )
    return lambda own, _: approve_policy(Context(own, people[1]).at(NOW), line.name, line.number, WHY).state


def activating(engine: Engine, people: People) -> Work:
    number = committed(engine, people, ruleset_text({"field": "income", "above": 1}, **BOTH))
    return lambda own, _: activate(Context(own, people[2]).at(NOW), "good-customers", number, WHY)


@pytest.mark.parametrize("ready", [approving, activating])
def test_a_field_does_not_become_aml_in_the_moment_in_which_commerce_begins_to_read_it(
    ready: Callable[[Engine, People], Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = Barrier(2)

    def looked(session: Session, organisation_id: int, candidate: RulesetVersion | None = None) -> None:
        refuse_feeding_commerce(session, organisation_id, candidate)
        with suppress(BrokenBarrierError):  # one of the two waits for the other to end its transaction
            arrived.wait(timeout=1)

    def prepare(engine: Engine) -> tuple[People, Work]:
        people = founded(engine)
        asks.change_settings(Context(engine, people[0]).at(NOW), asks.SettingsChange(minimum_coverage_percent=0), WHY)
        say(engine, people, {"fields": {"income": "both"}})
        begun = people, ready(engine, people)
        for module in (entity_types, policies, rulesets_activate):
            monkeypatch.setattr(module, "refuse_feeding_commerce", looked)
        return begun

    def begin(engine: Engine, made: tuple[People, Work]) -> object:
        return made[1](engine, made)

    def tighten(engine: Engine, made: tuple[People, Work]) -> object:
        return say(engine, made[0], {"fields": {"income": "aml"}})

    ended = together("postgresql", tmp_path, prepare, begin, tighten)
    assert [isinstance(each, ConflictError) for each in ended].count(True) == 1, ended


def linked_text(by: str, test: Data, **more: Any) -> str:
    """A ruleset for commerce that asks something of those linked."""
    rule = {"id": "near", "title": "N", "category": "other", "input": {"linked": {"by": by, "any": test}}}
    whole: Data = {
        "links": {by: {"kind": "shared"}},
        "rules": [{**rule, "cases": [{"when": {"equals": True}, "points": 40}]}],
        "purposes": {"fields": {"income": "both"}, "links": {"household": "both"}},
    }
    return ruleset_text(**{**whole, **more})


RICH: Data = {"field": "income", "above": 1}
AGES: Data = {"linked": {"by": "household", "sum": {"field": "age"}}}
PART: Data = {"when": {"calculation": "part", "above": 1}, "points": 40}


def test_commerce_reads_of_those_linked_what_it_may_read_itself_and_by_links_that_it_may_follow(
    engine: Engine, three: People
) -> None:
    links = {"household": "shared", "device": "shared"}
    purposes = {"links": {"household": "both"}}
    define_type(Context(engine, three[0]).at(NOW), "customer", {"age": "number"}, purposes=purposes, links=links)
    follows: Data = {"fields": {"income": "both"}, "links": {"household": "both", "device": "both"}}
    calculated: Data = {
        "fields": {"age": "number"},
        "calculate": {"part": {"unit": "ratio", "divide": [{"value": "score"}, AGES]}},
        "rules": [{"id": "near", "title": "N", "category": "other", "cases": [PART]}],
        "purposes": {"fields": {"age": "both"}, "links": {"household": "both"}},
    }
    refused = {
        linked_text("household", {"tag": "vip", "is": "present"}, name="tag"): "ruleset tag → rule near → tag vip",
        linked_text("household", {"screening": "pep", "is": "present"}, name="pep"): "rule near → screening pep",
        linked_text("household", {"count": "cases", "above": 0}, name="cases"): "rule near → cases",
        linked_text("device", RICH, purposes=follows, name="device"): "rule near → link device",
        linked_text("household", RICH, **calculated, name="age"): "rule near → calculation part → field age",
    }
    for text, path in refused.items():
        name = json.loads(text)["ruleset"]
        saved = save_draft(Context(engine, three[0]).at(NOW), text)
        with pytest.raises(InvalidRulesetError, match=path):
            commit(Context(engine, three[1]).at(NOW), name, saved.revision, WHY)
    assert not rows_of(engine, RulesetVersion)
    decides(engine, three, linked_text("household", RICH))
    with pytest.raises(ConflictError, match=r"good-customers would feed commerce: .* rule near → link household"):
        say(engine, three, {"links": {"household": "aml"}})
    with pytest.raises(ConflictError, match=r"good-customers would feed commerce: .* rule near → field income"):
        say(engine, three, {"fields": {"income": "aml"}})


def kept_group(engine: Engine, people: People, purpose: str) -> None:
    """Let a group be in force whose members are those with its tag."""
    text = json.dumps(
        {
            "group": "watch",
            "title": "Whom we watch",
            "entity_type": "customer",
            "rationale": "Because.",
            "purpose": purpose,
            "levels": ["low", "medium", "high"],
            "kept_by": "flows",
        }
    )
    line = propose_group(Context(engine, people[0]).at(NOW), text, WHY, WHY)
    approve_group(Context(engine, people[1]).at(NOW), "watch", line.number, WHY)


def test_the_tag_of_a_group_is_for_commerce_only_where_the_group_is(engine: Engine, three: People) -> None:
    """Who has the tag is a member, and people put members in too."""
    said: Data = {"tags": {"group:watch": "both"}}
    kept_group(engine, three, "aml")
    with pytest.raises(ConflictError, match="group watch is for aml alone"):
        say(engine, three, said)
    retire_group(Context(engine, three[0]).at(NOW), "watch", 1, WHY)
    with pytest.raises(ConflictError, match="group watch is for aml alone"):
        say(engine, three, said)
    say(engine, three, {"tags": {"group:watch": "aml", "vip": "both"}})


def test_no_group_against_money_laundering_comes_into_force_whose_tag_is_for_commerce(
    engine: Engine, three: People
) -> None:
    said: Data = {"tags": {"group:watch": "both"}}
    say(engine, three, said)
    both: Data = {"fields": {"income": "both", "country": "both"}, **said}
    decides(engine, three, ruleset_text({"tag": "group:watch", "is": "present"}, purposes=both))
    with pytest.raises(ConflictError, match="group watch is for aml alone"):
        kept_group(engine, three, "aml")


def test_commerce_reads_the_tag_of_a_group_for_both(engine: Engine, three: People) -> None:
    said: Data = {"tags": {"group:watch": "both"}}
    kept_group(engine, three, "both")
    say(engine, three, said)
    both: Data = {"fields": {"income": "both", "country": "both"}, **said}
    decides(engine, three, ruleset_text({"tag": "group:watch", "is": "present"}, purposes=both))
    assert len(rows_of(engine, Activation)) == 1
