"""Evidence of what people decided: what waited, held or was decided in a quarter, and whether two were at it."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.store.queue.sources import SOURCES, Kind
from fivefold.store.tables.accounts import Token, TokenRequest
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import MaterialChange, Policy, ValidationRun
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal, RulesetVersion
from fivefold.usecases.decisions.policies import propose_policy, refuse_policy
from fivefold.usecases.evidence.archive import optional_iso_text
from fivefold.usecases.evidence.people import APPROVALS, approvals_of, people_part
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import Quarter
from tests.store.audits import forged
from tests.usecases.accounts.test_purposes import WHY, WORTH, policy_text, prepared
from tests.usecases.planted import Planted, Step, day, planted

pytestmark = pytest.mark.postgresql

QUARTER = Quarter("a time", day(0), day(90))


@pytest.fixture
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    made.add_all([[Step(day(-9), made.versions[0], 3, 3)] for _ in range(9)])
    return made


def parts(bank: Planted, now_us: int = day(200)) -> tuple[dict[str, Any], dict[str, int]]:
    with Session(bank.engine) as session:
        part = people_part(session, bank.actor.organisation_id, QUARTER, now_us)
        return {file.name: json.loads(b"".join(file.content())) for file in part.files}, dict(part.counts)


def test_overrides_that_had_to_do_with_the_quarter(bank: Planted) -> None:
    kept = [
        bank.override(1, 1, day(-50)),
        bank.override(2, 1, day(-50), until_us=day(0)),
        bank.override(3, 1, day(-50), state="revoked", revoked_by="member:3", revoked_us=day(0)),
        bank.override(4, 1, day(-50), state="refused", decided_us=day(0)),
        bank.override(5, 1, day(-50), state="requested", decided_us=None, decided_by=None),
        bank.override(6, 1, day(89)),
    ]
    bank.override(7, 1, day(-50), until_us=day(0) - 1)
    bank.override(8, 1, day(-50), state="revoked", revoked_by="member:3", revoked_us=day(0) - 1)
    bank.override(9, 1, day(-50), state="refused", decided_us=day(0) - 1)
    bank.override(1, 1, day(90))
    files, counts = parts(bank)
    assert [each["override"] for each in files["overrides.json"]] == kept
    assert counts == {"overrides": 6, "challenges": 0, "proposals": 0, "material_changes": 0, "approvals": 2}
    assert "reason" not in str(files)
    assert "Wolfgang" not in str(files)


def challenged(bank: Planted, number: int, opened_us: int, settled_us: int | None = None) -> None:
    state = "open" if settled_us is None else "confirmed"
    with Session(bank.engine) as session, session.begin():
        entity = session.scalars(select(Entity).where(Entity.organisation_id == bank.actor.organisation_id)).first()
        assert entity is not None
        session.add(
            Challenge(
                organisation_id=entity.organisation_id, entity_id=entity.id, number=number, words="Wolfgang is it.",
                received_us=opened_us, opened_us=opened_us, opened_by="member:1", due_us=opened_us + day(30) - day(0),
                record_sha256="0f", state=state, settled_us=settled_us, settled_by=settled_us and "member:2",
                reason=settled_us and "Wolfgang was wrong.",
            )
        )  # fmt: skip


def test_an_override_that_ended_before_anybody_decided_is_no_approval(bank: Planted) -> None:
    bank.override(1, 1, day(1), until_us=day(20), state="refused", decided_by="system", decided_us=day(20))
    bank.override(2, 1, day(1), until_us=day(20), state="refused", decided_us=day(19))
    files, _ = parts(bank)
    assert [(each["override"], each["decided_by"]) for each in files["overrides.json"]] == [
        (1, "system"),
        (2, "member:2"),
    ]
    assert [(each["number"], each["by"]) for each in files["approvals.json"]] == [(2, "member:2")]


def test_challenges_that_were_open_in_the_quarter_say_whether_they_were_in_time(bank: Planted) -> None:
    challenged(bank, 1, day(-9), day(0) - 1)
    challenged(bank, 2, day(-9), day(0))
    challenged(bank, 3, day(-9), day(22))
    challenged(bank, 4, day(70))
    challenged(bank, 5, day(5))
    challenged(bank, 6, day(90))
    files, counts = parts(bank)
    found = files["challenges.json"]
    assert [(each["challenge"], each["in_time"]) for each in found] == [(2, True), (3, False), (4, None), (5, False)]
    assert counts["challenges"] == 4
    assert "Wolfgang" not in str(files)


def test_what_was_settled_after_the_quarter_was_open_at_its_end(bank: Planted) -> None:
    """Settled in time or not, nobody knew of it then; one that was late at the end stays late."""
    challenged(bank, 1, day(80), day(100))
    challenged(bank, 2, day(80), day(150))
    challenged(bank, 3, day(20), day(100))
    found = parts(bank)[0]["challenges.json"]
    assert [(each["challenge"], each["in_time"]) for each in found] == [(1, None), (2, None), (3, False)]
    assert {(each["state"], each["settled"], each["settled_by"]) for each in found} == {("open", None, None)}


def test_what_happened_after_the_quarter_is_not_in_it(bank: Planted) -> None:
    """Each stands as it stood when the quarter ended, so that an archive says the same whenever it is made."""
    later = {"revoked_by": "member:3", "revoked_us": day(90)}
    bank.override(1, 1, day(80))
    bank.override(2, 1, day(80), state="requested", decided_us=None, decided_by=None)
    change(bank, day(80), None)
    challenged(bank, 1, day(80))
    proposal(bank, day(80))
    then = parts(bank, day(90))
    with forged(bank.engine) as connection:
        connection.execute(update(OverrideRow).where(OverrideRow.id == 1).values(state="revoked", **later))
        decided = {"state": "refused", "decided_by": "member:2", "decided_us": day(90)}
        connection.execute(update(OverrideRow).where(OverrideRow.id == 2).values(decided))
        connection.execute(update(Proposal).values(**decided, decision_reason="No."))
        signed = {"signed_by": "member:2", "signed_us": day(90), "conclusion": "Fine.", "validation_id": 7}
        connection.execute(update(MaterialChange).values(signed))
        settled = {"state": "overridden", "settled_us": day(90), "settled_by": "member:2", "settled_number": 9}
        connection.execute(update(Challenge).values(**settled, override_id=1))
    assert parts(bank) == then


def test_in_a_quarter_that_is_not_over_an_open_challenge_is_late_once_it_is_due(bank: Planted) -> None:
    challenged(bank, 1, day(5))
    challenged(bank, 2, day(5), day(30))
    for now_us, in_time in ((day(20), None), (day(35), None), (day(35) + 1, False), (day(95), False)):
        found = parts(bank, now_us)[0]["challenges.json"]
        assert [each["in_time"] for each in found] == [in_time, True]


def change(bank: Planted, registered_us: int, signed_us: int | None, signed_by: str = "member:2") -> None:
    with Session(bank.engine) as session, session.begin():
        session.add(
            MaterialChange(
                organisation_id=bank.actor.organisation_id, kind="country", description="Malta.",
                registered_by="member:1", registered_us=registered_us, signed_us=signed_us,
                signed_by=None if signed_us is None else signed_by,
            )
        )  # fmt: skip


def test_changes_that_were_open_in_the_quarter(bank: Planted) -> None:
    change(bank, day(-9), day(-1))
    change(bank, day(-9), day(0))
    change(bank, day(-9), None)
    change(bank, day(89), day(95))
    change(bank, day(90), None)
    files, counts = parts(bank)
    assert [each["material_change"] for each in files["material-changes.json"]] == [2, 3, 4]
    assert counts["approvals"] == 1, "the one that was signed off in it"


def proposal(bank: Planted, proposed_us: int, decided_us: int | None = None, **values: Any) -> int:
    """A ruleset off, as one proposed it; approved by another where that is dated and nothing else is said."""
    said = {
        "kind": "ruleset.switch", "subject": "ruleset retail off", "content": {"family": "retail", "on": False},
        "reach": {"entities": {"customer": 9}}, "reason": "too many alerts", "proposed_by": "member:1",
        "state": "proposed" if decided_us is None else "approved", "decided_us": decided_us,
        "decided_by": None if decided_us is None else "member:2",
        "decision_reason": None if decided_us is None else "as agreed",
    }  # fmt: skip
    with Session(bank.engine) as session, session.begin():
        made = Proposal(organisation_id=bank.actor.organisation_id, proposed_us=proposed_us, **{**said, **values})
        session.add(made)
        session.flush()
        return made.id


def test_proposals_of_the_quarter_say_who_asked_who_approved_and_when(bank: Planted) -> None:
    proposal(bank, day(-9), day(0) - 1)
    kept = [
        proposal(bank, day(-9), day(0)),
        proposal(bank, day(1), day(2), state="refused"),
        proposal(bank, day(1), day(3), state="withdrawn", decided_by="member:1"),
        proposal(bank, day(89)),
    ]
    proposal(bank, day(90))
    files, counts = parts(bank)
    found = files["proposals.json"]
    assert ([each["proposal"] for each in found], counts["proposals"]) == (kept, 4)
    assert (found[0]["proposed_by"], found[0]["decided_by"]) == ("member:1", "member:2")
    assert (found[0]["content"], found[0]["reason"]) == ({"family": "retail", "on": False}, "too many alerts")
    assert found[0]["decided"] == optional_iso_text(day(0))
    approvals = [(each["what"], each["number"], each["four_eyes"]) for each in files["approvals.json"]]
    assert approvals == [("proposal", kept[0], True), ("proposal refused", kept[1], True)], "to withdraw is one's own"


def test_proposals_about_one_customer_say_nothing_of_the_customer(bank: Planted) -> None:
    tag = {"ended": True, "entity": 1, "tag": "smurfing", "until_us": None}
    subject = "end of tag 'smurfing' of entity 1"
    about = {"entity_id": 1, "reason": "Wolfgang is cleared.", "decision_reason": "Smurfing was not."}
    proposal(bank, day(1), day(2), kind="fact.tag", subject=subject, content=tag, **about)
    revoked = {"kind": "override.revoke", "subject": "end of override 7", "content": {"override": 7}}
    proposal(bank, day(1), day(2), **about, **revoked)
    files, _ = parts(bank)
    fact, override = files["proposals.json"]
    assert (fact["kind"], fact["entity"], override["override"], override["entity"]) == ("fact.tag", 1, 7, 1)
    assert not any(word in str(files).lower() for word in ("smurfing", "wolfgang", "reason"))


def test_one_who_approved_their_own_is_told(bank: Planted) -> None:
    """The program does not let them; a database that was written by hand may say so."""
    change(bank, day(1), day(2), "member:1")
    bank.override(1, 1, day(5), decided_by="member:1")
    with Session(bank.engine) as session, session.begin():
        for approved_us in (day(7), day(95), None):
            session.add(
                Policy(
                    organisation_id=bank.actor.organisation_id, name=f"p{approved_us}", number=1, document="{}",
                    canonical="{}", content_hash="0" * 64, state="approved", written_by="member:1", written_us=day(1),
                    approved_by="member:3", approved_us=approved_us,
                )
            )  # fmt: skip
    found = parts(bank)[0]["approvals.json"]
    assert [(each["what"], each["four_eyes"]) for each in found] == [
        ("material change", False),
        ("override", False),
        ("policy", True),
    ]


def test_a_token_that_one_asked_for_is_there_with_who_gave_or_refused_it(bank: Planted) -> None:
    said = {"role": "admin", "plan": "standard", "label": "Wolfgang's", "half_sha256": "0" * 64, "asked_us": day(-1)}
    with Session(bank.engine) as session, session.begin():
        token = Token(
            organisation_id=bank.actor.organisation_id, sha256="0" * 64, label="", role="admin", plan="standard",
            created_us=day(1),
        )  # fmt: skip
        session.add(token)
        session.flush()
        for state, decided_by, decided_us in (
            ("made", "member:2", day(1)),
            ("refused", "member:2", day(2)),
            ("refused", "member:1", day(3)),
            ("made", "member:1", day(4)),
            ("made", "member:2", day(-1)),
            ("asked", None, None),
        ):
            session.add(
                TokenRequest(
                    organisation_id=bank.actor.organisation_id, **said, state=state, asked_by="member:1",
                    decided_by=decided_by, decided_us=decided_us, token_id=token.id if state == "made" else None,
                )
            )  # fmt: skip
    files, _ = parts(bank)
    assert [(each["what"], each["number"], each["by"], each["four_eyes"]) for each in files["approvals.json"]] == [
        ("token", 1, "member:2", True),
        ("token refused", 2, "member:2", True),
        ("token", 4, "member:1", False),
    ], "to withdraw is one's own"
    assert "Wolfgang" not in str(files)


def test_a_validation_that_was_signed_off_is_there_with_the_authors_of_what_it_judges(bank: Planted) -> None:
    version = {"ruleset": "retail", "version": 1}
    groups = {"groups": [{"ruleset": None, "version": None}, version]}
    with Session(bank.engine) as session, session.begin():
        committed = session.get_one(RulesetVersion, bank.versions[0])
        authors = sorted({*committed.editors, committed.committed_by})
        for signed_us in (day(0), day(90), None):
            session.add(
                ValidationRun(
                    organisation_id=bank.actor.organisation_id, trigger="a quarter", from_us=day(-90), until_us=day(0),
                    made_us=day(-1), report=groups, signed_us=signed_us, signed_by=signed_us and "member:7",
                )
            )  # fmt: skip
    (found,) = parts(bank)[0]["approvals.json"]
    assert (found["what"], found["number"], found["asked_by"]) == ("validation", 1, authors)
    assert (found["by"], found["four_eyes"]) == ("member:7", True)


def test_a_policy_that_another_person_refused_is_there(engine: Engine) -> None:
    people = prepared(engine)
    for actor in people[:2]:
        text = policy_text(WORTH)
        line = propose_policy(Context(engine, people[0]), text, WHY, WHY)
        refuse_policy(Context(engine, actor), line.name, line.number, WHY)
    with Session(engine) as session:
        found = approvals_of(session, people[0].organisation_id, Quarter("ever", 0, 2**62))
    refused = [(each["number"], each["asked_by"], each["by"]) for each in found if each["what"] == "policy refused"]
    assert refused == [(2, ["member:1"], "member:2")], "to withdraw is one's own"


DECIDED_BY_ONE = {
    Kind.CHALLENGE: "the one who recorded the person's words may settle it; challenges.json has both",
    Kind.QUESTION: "flows/answers.jsonl has who answered",
    Kind.FLOW_REVIEW: "one person does it",
    Kind.FAILURE: "a fact is given",
    Kind.QUARANTINE: "the assessment is tried again",
    Kind.RISE: "one person looks at it",
    Kind.REVIEW: "the level is computed again",
}


def test_every_kind_that_waits_for_a_second_person_has_its_approvals() -> None:
    assert {*APPROVALS, *DECIDED_BY_ONE} == set(Kind)
    assert not {*APPROVALS} & {*DECIDED_BY_ONE}
    assert {source.kind for source in SOURCES if source.makers} <= set(APPROVALS)


def test_before_levels_are_chosen_there_is_nothing_to_tell(engine: Engine) -> None:
    from tests.usecases.governed import organisation

    with Session(engine) as session:
        part = people_part(session, organisation(engine, "new"), QUARTER, day(200))
    assert set(part.counts.values()) == {0}
