"""Proposals of versions of the same list: the approval of one ends the others, and overwrites nothing unseen."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine

from fivefold.usecases.changes import beside
from fivefold.usecases.changes.asks import put_list_version
from fivefold.usecases.changes.proposals import ChangeOutcome, ProposalLine, read_proposal
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.changes.two_people_stories import LATER, People, decide
from tests.usecases.governed import NOW, SECOND, agreed, document, founded


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    """Three people, and a ruleset in force that reads the list watched."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    decide(engine, three, document(), "retail")
    return three


def ask(engine: Engine, who: Actor, members: Sequence[str], since_us: int, name: str = "watched") -> ChangeOutcome:
    return put_list_version(Context(engine, who).at(LATER), name, since_us, members, "W", "us", "why")


def line_of(engine: Engine, who: Actor, outcome: ChangeOutcome) -> ProposalLine:
    assert outcome.proposal is not None
    return read_proposal(Context(engine, who), outcome.proposal.id)


def test_an_approval_withdraws_other_members_from_the_same_moment(engine: Engine, three: People) -> None:
    ana, ben, cyd = three
    wanted, other = ask(engine, ana, ["IR", "SY"], LATER, "sanc"), ask(engine, ben, ["IR"], LATER, "sanc")
    assert agreed(engine, cyd, wanted, LATER).state == "approved"
    line = line_of(engine, cyd, other)
    assert line.state == "withdrawn"
    moved = "the beginning of the newest version of the list was nothing when this was proposed"
    assert moved in str(line.decision_reason)


def test_one_proposed_by_an_earlier_release_is_withdrawn_too(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not name what it would overwrite."""
    ana, ben, cyd = three
    wanted, other = ask(engine, ana, ["IR", "SY"], LATER, "sanc"), ask(engine, ben, ["IR"], LATER, "sanc")
    monkeypatch.setattr(beside, "moved_since", lambda *_: "")
    assert agreed(engine, cyd, wanted, LATER).state == "approved"
    line = line_of(engine, cyd, other)
    assert line.state == "withdrawn"
    assert "the list sanc has a version since 2026-11-21T12:00:00Z with other members" in str(line.decision_reason)


def test_a_later_version_does_not_replace_one_that_its_author_had_not_seen(engine: Engine, three: People) -> None:
    ana, ben, cyd = three
    first, second = ask(engine, ana, ["IR", "SY"], LATER), ask(engine, ben, ["IR", "CU"], LATER + SECOND)
    assert line_of(engine, cyd, second).reach["newest_since"] == {
        "from": "1970-01-01",
        "to": "2026-11-21T12:00:01Z",
    }
    agreed(engine, cyd, first, LATER)
    line = line_of(engine, cyd, second)
    moved = "was 1970-01-01 when this was proposed, and is 2026-11-21T12:00:00Z now"
    assert line.state == "withdrawn"
    assert moved in str(line.decision_reason)
    again = ask(engine, ben, ["IR", "SY", "CU"], LATER + SECOND)
    assert agreed(engine, cyd, again, LATER).state == "approved"


def test_another_reason_takes_the_place_of_the_first(engine: Engine, three: People) -> None:
    ana, _, cyd = three
    first = ask(engine, ana, ["IR", "SY"], LATER)
    context = Context(engine, ana).at(LATER)
    second = put_list_version(context, "watched", LATER, ["IR", "SY"], "W", "us", "see case 4711")
    assert line_of(engine, cyd, second).reason == "see case 4711"
    line = line_of(engine, cyd, first)
    assert (line.state, line.decision_reason) == ("withdrawn", "it was proposed anew: for another reason")
