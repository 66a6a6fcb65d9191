"""Settings are changed by two people, once anything decides; before that one person sets up."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.tables.entities import ListVersionRow
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.accounts.second_person import allow_sole_operator, require_two_people
from fivefold.usecases.accounts.settings import SettingsChange, choose_levels, read_settings
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes.asks import change_settings, put_list_version, switch_family
from fivefold.usecases.changes.proposals import approve_proposal, read_proposal, waiting_beside
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.audits import bind_unnamed
from tests.usecases.changes.two_people_stories import CHANGES, LATER, People, decide, settings_change, states
from tests.usecases.governed import NOW, agreed, audited, document, founded, rows_of


def test_settings_are_approved_by_admins(engine: Engine, three: People) -> None:
    outcome = CHANGES["cap"](engine, three[0])
    assert outcome.proposal is not None
    reach = {"from": 10, "to": 99, "overridden_below": 0, "with_level": 6}
    assert outcome.proposal.reach == {"override_cap_percent": reach}
    with pytest.raises(ConflictError, match="is about settings, which admins decide"):
        approve_proposal(Context(engine, three[1]), outcome.proposal.id, "why", Role.PUBLISHER)
    approve_proposal(Context(engine, three[1]), outcome.proposal.id, "why", Role.ADMIN)
    assert read_settings(Context(engine, three[0])).override_cap_percent == 99


def test_the_least_coverage_of_the_organisation_holds_whatever_a_ruleset_says(engine: Engine, three: People) -> None:
    asked = change_settings(Context(engine, three[0]).at(LATER), SettingsChange(minimum_coverage_percent=90), "why")
    assert asked.proposal is not None
    assert asked.proposal.reach["minimum_coverage_percent"]["active_below"] == []
    agreed(engine, three[1], asked, LATER)
    text = document("new")
    text = text[: text.index("  - {name: north")] + "coverage: {rules: 0, cases: 0}\n"
    save_draft(Context(engine, three[0]), text)
    with pytest.raises(Exception, match=r"reach 50\.0 % of rules, at least 90 % are needed by the organisation"):
        commit(Context(engine, three[0]), "new", 1, "as it is")


def test_an_author_alone_does_not_switch_coverage_off(engine: Engine, three: People) -> None:
    """The organisation's minimum holds from its first day, though nobody chose it."""
    text = document("new")
    text = text[: text.index("  - {name: north")] + "coverage: {rules: 0, cases: 0}\n"
    save_draft(Context(engine, three[0]), text)
    with pytest.raises(Exception, match=r"reach 50\.0 % of rules, at least 80 % are needed by the organisation"):
        commit(Context(engine, three[0]), "new", 1, "as it is")


def test_before_anything_decides_one_person_sets_up(engine: Engine) -> None:
    ana = founded(engine)[0]
    at_machine = Actor(ana.organisation_id, "cli:ana")
    assert put_list_version(Context(engine, at_machine).at(NOW), "watched", 0, ["IR"], "W", "us").proposal is None
    assert change_settings(Context(engine, at_machine), SettingsChange(override_cap_percent=5)).proposal is None
    save_draft(Context(engine, ana), document())
    assert switch_family(Context(engine, ana), "retail", False, "not yet").proposal is None
    assert choose_levels(Context(engine, ana), ("low", "medium", "high")).locked_us is not None, "the same ones again"
    assert rows_of(engine, Proposal) == []


def test_the_reason_of_what_one_person_does_at_once_is_checked_too(engine: Engine) -> None:
    context = Context(engine, founded(engine)[0])
    for reason in ("x" * 2001, "half a \ud800 pair"):
        with pytest.raises(ConfigError, match="reason must say why, in 1 to 2000 characters"):
            put_list_version(context, "watched", 0, ["IR"], "W", "us", reason)
    assert rows_of(engine, ListVersionRow) == []


def test_a_sole_operator_is_chosen_before_anything_decides_and_is_in_the_log(engine: Engine) -> None:
    ana = founded(engine)[0]
    at_machine = Actor(ana.organisation_id, "cli:ana")
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "W", "us")
    put_entities(Context(engine, ana).at(NOW), "customer", [EntityRow("c1", {"country": "IR", "income": 5.0})])
    assert allow_sole_operator(Context(engine, at_machine).at(NOW), "a try-out").sole_operator_us == NOW
    assert audited(engine)[-1][:2] == ("cli:ana", "organisation.sole_operator")
    decide(engine, (ana, ana, ana), document(), "retail")
    outcome = switch_family(Context(engine, ana).at(LATER), "retail", False, "why")
    agreed(engine, ana, outcome, LATER)
    assert require_two_people(Context(engine, at_machine), "it is real now").sole_operator_us is None
    with pytest.raises(ConflictError, match="two people decided"):
        allow_sole_operator(Context(engine, at_machine), "once more")
    outcome = switch_family(Context(engine, ana).at(LATER), "retail", True, "why")
    with pytest.raises(ConflictError, match="another person approves"):
        agreed(engine, ana, outcome, LATER)


def test_a_change_of_settings_overwrites_none_that_was_approved_since_it_was_proposed(
    engine: Engine, three: People
) -> None:
    first = settings_change(engine, three[0], challenge_days=14)
    second = settings_change(engine, three[1], challenge_days=20, override_cap_percent=5)
    other = settings_change(engine, three[1], retention_days=9)
    assert waiting_beside(Context(engine, three[2]), second) == (first,)
    assert waiting_beside(Context(engine, three[2]), other) == ()
    approve_proposal(Context(engine, three[2]).at(LATER), first, "yes")
    assert states(engine, three[2]) == ["approved", "withdrawn", "proposed"]
    moved = "the setting challenge days was 30 when this was proposed, and is 14 now"
    line = read_proposal(Context(engine, three[2]), second)
    assert (line.decided_by, line.decision_reason) == ("member:3", f"proposal {first} was approved: {moved}")
    with pytest.raises(ConflictError, match=f"proposal {second} was withdrawn already: .*{moved}"):
        approve_proposal(Context(engine, three[2]).at(LATER), second, "yes")
    present = read_settings(Context(engine, three[0]))
    assert (present.challenge_days, present.override_cap_percent) == (14, 10)
    assert waiting_beside(Context(engine, three[2]), second) == ()
    approve_proposal(Context(engine, three[2]).at(LATER), other, "yes")
    assert [entry[1] for entry in audited(engine)][-4:] == [
        "proposal.approved",
        "proposal.withdrawn",
        "settings.changed",
        "proposal.approved",
    ]
    bind_unnamed(engine)
    assert verify(engine, print).findings == 0
