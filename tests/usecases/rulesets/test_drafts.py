"""Families and drafts: made by the first draft, edited one after another, ordered, switched on and off."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.rulesets import Activation, Draft, Family
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.settings import choose_levels, read_settings
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.rulesets.drafts import DraftSaved, discard_draft, name_and_type_of, save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.at_once import order_families, switch_family
from tests.usecases.governed import LEVELS, NOW, audited, document, founded, organisation, people, rows_of, together

People = tuple[Actor, Actor, Actor]


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return founded(engine)


def families(engine: Engine) -> list[tuple[str, int, bool]]:
    rows = sorted(rows_of(engine, Family), key=lambda row: (row["type_id"], row["position"]))
    return [(row["name"], row["position"], row["enabled"]) for row in rows]


def put_in_force(engine: Engine, *names: str) -> None:
    """As if a version of each were active; what decides between families needs no more."""
    with Session(engine) as session, session.begin():
        for name in names:
            session.execute(
                update(Family).where(Family.name == name).values(active_version_id=make_version(session, name))
            )


def make_version(session: Session, name: str) -> int:
    from fivefold.store.rulesets.rulesets import family_named
    from fivefold.store.tables.rulesets import RulesetVersion

    family = family_named(session, 1, name)
    made = RulesetVersion(
        organisation_id=1,
        family_id=family.id,
        number=1,
        document=document(name),
        canonical=analyse_text(document(name)).ruleset.canonical,
        content_hash="",
        tests={"revision": 1},
        editors=[],
        committed_by="member:1",
        committed_us=NOW,
    )
    session.add(made)
    session.flush()
    return made.id


def test_the_first_draft_makes_the_family_and_locks_the_levels(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    assert read_settings(Context(engine, ana)).locked_us is None
    assert save_draft(Context(engine, ana).at(NOW), document()) == DraftSaved("retail", "customer", 1, ("member:1",))
    assert save_draft(Context(engine, ben).at(NOW + 1), document("other"), 0).revision == 1
    assert families(engine) == [("retail", 1, True), ("other", 2, True)]
    assert read_settings(Context(engine, ana)).locked_us == NOW
    with pytest.raises(ConflictError, match="cannot change: a ruleset was written for them"):
        choose_levels(Context(engine, ana), ["a", "b", "c"])


def test_a_draft_is_kept_as_it_is_written_and_may_be_wrong(engine: Engine, three: People) -> None:
    text = "ruleset: retail   # not much yet\nentity_type: customer\nrulez: [1, 2\n ]\n"
    save_draft(Context(engine, three[0]), text)
    assert rows_of(engine, Draft)[0]["document"] == text


def test_editors_gather_and_revisions_rise(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    save_draft(Context(engine, ana), document())
    save_draft(Context(engine, ben), document(medium=31), 1)
    last = save_draft(Context(engine, ana), document(medium=32), 2)
    assert (last.revision, last.editors) == (3, ("member:1", "member:2"))


@pytest.mark.parametrize("expected", [0, 1, 3, -1])
def test_whoever_began_with_another_revision_is_told_the_present_one(
    engine: Engine, three: People, expected: int
) -> None:
    save_draft(Context(engine, three[0]), document())
    save_draft(Context(engine, three[0]), document(medium=31), 1)
    with pytest.raises(ConflictError, match=f"retail has a draft of revision 2, not {expected}"):
        save_draft(Context(engine, three[1]), document(medium=40), expected)
    assert rows_of(engine, Draft)[0]["document"] == document(medium=31)
    assert rows_of(engine, Draft)[0]["editors"] == ["member:1"]


def test_a_discarded_draft_comes_not_back_by_an_old_revision(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    save_draft(Context(engine, ana).at(NOW), document())
    save_draft(Context(engine, ana).at(NOW), document(medium=31), 1)
    for seen in (1, 3):
        with pytest.raises(ConflictError, match=f"retail has a draft of revision 2, not {seen}"):
            discard_draft(Context(engine, ben).at(NOW), "retail", seen)
    discard_draft(Context(engine, ben).at(NOW), "retail", 2)
    assert rows_of(engine, Draft) == []
    with pytest.raises(NotFoundError, match="there is no draft of retail"):
        discard_draft(Context(engine, ben).at(NOW), "retail", 2)
    with pytest.raises(ConflictError, match=r"has no draft now \(revision 0\), not 2"):
        save_draft(Context(engine, ana).at(NOW), document(), 2)
    assert save_draft(Context(engine, ben).at(NOW), document(medium=32)).revision == 3
    assert rows_of(engine, Draft)[0]["editors"] == ["member:2"], "who edited the other one has no part in this one"
    actions = ["draft_saved", "draft_saved", "draft_discarded", "draft_saved"]
    assert [entry[1] for entry in audited(engine)][-4:] == [f"ruleset.{action}" for action in actions]
    assert verify(engine, pytest.fail).entries


def test_nobody_discards_the_draft_of_another_organisation(engine: Engine, three: People) -> None:
    other = founded(engine, "other")[0]
    save_draft(Context(engine, three[0]), document())
    with pytest.raises(NotFoundError, match="there is no ruleset 'retail'"):
        discard_draft(Context(engine, other), "retail", 1)
    assert len(rows_of(engine, Draft)) == 1


def test_a_draft_that_is_not_there_has_the_revision_0(engine: Engine, three: People) -> None:
    with pytest.raises(ConflictError, match=r"retail has no draft now \(revision 0\), not 4"):
        save_draft(Context(engine, three[0]), document(), 4)
    assert families(engine) == []
    assert read_settings(Context(engine, three[0])).locked_us is None, "nothing was written"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be a mapping"),
        ("- a", "must be a mapping"),
        ("ruleset: retail", "entity_type: is missing"),
        ("entity_type: customer", "ruleset: is missing"),
        ("ruleset:\nentity_type: customer", "line 1: ruleset: is empty"),
        ("ruleset: Retail\nentity_type: customer", "line 1: ruleset: .*lower-case"),
        ("ruleset: [a]\nentity_type: 3", "(?s)line 1: ruleset: must be text.*line 2: entity_type: is 3; must be text"),
        ("ruleset: a\nruleset: b\nentity_type: customer", "ruleset appears twice"),
        ("ruleset: retail\n\tentity_type: customer", "a tab; indent with spaces"),
        ("ruleset: retail\nentity_type: customer\nnote: a\0b", "YAML"),
    ],
)
def test_a_document_that_does_not_say_what_it_is_of_is_refused(
    engine: Engine, three: People, text: str, told: str
) -> None:
    with pytest.raises(InvalidRulesetError, match=told):
        save_draft(Context(engine, three[0]), text)
    assert families(engine) == []


def test_json_is_a_draft_as_well() -> None:
    assert name_and_type_of('{"ruleset": "retail", "entity_type": "customer"}') == ("retail", "customer")


def test_a_draft_needs_levels_and_its_type(engine: Engine) -> None:
    ana = people(organisation(engine))[0]
    with pytest.raises(ConflictError, match="has not defined its levels yet"):
        save_draft(Context(engine, ana), document())
    choose_levels(Context(engine, ana), LEVELS)
    with pytest.raises(NotFoundError, match="there is no entity type 'customer'"):
        save_draft(Context(engine, ana), document())


def test_a_family_stays_with_its_type(engine: Engine, three: People) -> None:
    define_type(Context(engine, three[0]), "company", {})
    save_draft(Context(engine, three[0]), document())
    with pytest.raises(ConflictError, match="the ruleset retail is of another entity type than company"):
        save_draft(Context(engine, three[0]), document().replace("entity_type: customer", "entity_type: company"), 1)


def test_organisations_have_rulesets_of_the_same_name_and_see_their_own(engine: Engine, three: People) -> None:
    other = founded(engine, "other")[0]
    save_draft(Context(engine, three[0]), document())
    assert save_draft(Context(engine, other), document(medium=40)).revision == 1
    with pytest.raises(NotFoundError, match="there is no ruleset 'nothing'"):
        switch_family(Context(engine, other), "nothing", False, "why")
    save_draft(Context(engine, three[0]), document("mine"))
    with pytest.raises(NotFoundError, match="there is no ruleset 'mine'"):
        switch_family(Context(engine, other), "mine", False, "why")
    with pytest.raises(ConfigError, match="the families of customer are retail; name each of them once"):
        order_families(Context(engine, other), "customer", ["retail", "mine"], "why")


def test_families_are_put_in_order(engine: Engine, three: People) -> None:
    for name in ("a", "b", "c"):
        save_draft(Context(engine, three[0]), document(name))
    assert order_families(Context(engine, three[1]), "customer", ["c", "a", "b"], "the strictest first") == (
        "c",
        "a",
        "b",
    )
    assert families(engine) == [("c", 1, True), ("a", 2, True), ("b", 3, True)]
    save_draft(Context(engine, three[0]), document("d"))
    assert families(engine)[-1] == ("d", 4, True)
    assert rows_of(engine, Activation) == [], "nothing is in force, so nobody is assessed otherwise"


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "b"], ["a", "b", "c"], ["a", "x"]])
def test_an_order_names_every_family_once(engine: Engine, three: People, names: list[str]) -> None:
    for name in ("a", "b"):
        save_draft(Context(engine, three[0]), document(name))
    with pytest.raises(ConfigError, match="the families of customer are a, b; name each of them once, in order"):
        order_families(Context(engine, three[0]), "customer", names, "why")
    with pytest.raises(NotFoundError):
        order_families(Context(engine, three[0]), "company", [], "why")


def test_another_order_of_what_is_in_force_assesses_everyone_again(engine: Engine, three: People) -> None:
    for name in ("a", "b", "c"):
        save_draft(Context(engine, three[0]), document(name))
    put_in_force(engine, "a", "c")
    order_families(Context(engine, three[0]).at(NOW), "customer", ["b", "a", "c"], "the one that is not in force moves")
    assert rows_of(engine, Activation) == []
    order_families(Context(engine, three[0]).at(NOW), "customer", ["c", "b", "a"], "companies first", 7)
    (row,) = rows_of(engine, Activation)
    assert (row["kind"], row["reason"], row["actor"]) == ("activation", "companies first", "member:1")
    assert row["version_id"] == row["previous_version_id"], "what is active stays so"
    assert (row["per_second"], row["reached_id"], row["reached_us"], row["finished_us"]) == (7, 0, NOW, None)


def test_a_family_is_switched_off_and_on(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), document("a"))
    switch_family(Context(engine, three[1]).at(NOW), "a", False, "not in use yet")
    assert families(engine) == [("a", 1, False)]
    assert rows_of(engine, Activation) == []
    switch_family(Context(engine, three[1]).at(NOW), "a", True, "now it is")
    put_in_force(engine, "a")
    active = rows_of(engine, Family)[0]["active_version_id"]
    switch_family(Context(engine, three[1]).at(NOW + 1), "a", False, " it was too strict ")
    switch_family(Context(engine, three[1]).at(NOW + 2), "a", True, "it was not", 9)
    first, second = rows_of(engine, Activation)
    assert (first["kind"], first["version_id"], first["previous_version_id"]) == ("off", None, active)
    assert (first["reason"], first["per_second"]) == ("it was too strict", PER_SECOND)
    assert (second["kind"], second["version_id"], second["previous_version_id"]) == ("activation", active, None)
    assert (first["finished_us"], second["finished_us"]) == (NOW + 2, None), "the newer one takes in everyone"


def test_what_is_switched_like_that_already_is_refused(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), document("a"))
    with pytest.raises(ConflictError, match="a is on already"):
        switch_family(Context(engine, three[0]), "a", True, "why")
    switch_family(Context(engine, three[0]), "a", False, "why")
    with pytest.raises(ConflictError, match="a is off already"):
        switch_family(Context(engine, three[0]), "a", False, "why")


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2001, None, "a\0b"])
def test_a_reason_is_needed(engine: Engine, three: People, reason: Any) -> None:
    save_draft(Context(engine, three[0]), document("a"))
    for change in (
        lambda: switch_family(Context(engine, three[0]), "a", False, reason),
        lambda: order_families(Context(engine, three[0]), "customer", ["a"], reason),
    ):
        with pytest.raises(ConfigError, match="reason must say why, in 1 to 2000 characters"):
            change()
    assert families(engine) == [("a", 1, True)]


@pytest.mark.parametrize("rate", [0, -1, 100_001, 1.5, True, "5"])
def test_a_rate_is_needed(engine: Engine, three: People, rate: Any) -> None:
    save_draft(Context(engine, three[0]), document("a"))
    with pytest.raises(ConfigError, match=r"per_second is .*; it must be a whole number from 1 to 100000"):
        switch_family(Context(engine, three[0]), "a", False, "why", rate)


def test_every_change_is_recorded_once_and_no_text_of_people_for_good(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    before = len(rows_of(engine, AuditEntry))
    save_draft(Context(engine, ana), document("a", remark="secret remark"))
    save_draft(Context(engine, ben), document("b"))
    order_families(Context(engine, ana), "customer", ["b", "a"], "because of Zoe")
    switch_family(Context(engine, ben), "a", False, "because of Zoe")
    assert audited(engine)[before:] == [
        ("member:1", "ruleset.draft_saved", "1", {"ruleset": "a", "revision": 1}),
        ("member:2", "ruleset.draft_saved", "2", {"ruleset": "b", "revision": 1}),
        ("member:1", "rulesets.ordered", "1", {"order": ["b", "a"]}),
        ("member:2", "ruleset.switched", "1", {"on": False}),
    ]
    entries = repr(rows_of(engine, AuditEntry))
    assert "Zoe" not in entries
    assert "secret remark" not in entries
    assert verify(engine, print).entries == before + 4


def test_of_two_who_save_at_once_one_is_told(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> People:
        three = founded(engine)
        save_draft(Context(engine, three[0]), document())
        return three

    made = together(
        kind,
        tmp_path,
        prepare,
        *(
            lambda engine, three, number=number: save_draft(
                Context(engine, three[number]), document(medium=40 + number), 1
            )
            for number in range(3)
        ),
    )
    assert sorted(type(each).__name__ for each in made) == ["ConflictError", "ConflictError", "DraftSaved"]


def test_of_two_first_drafts_at_once_one_makes_the_family(kind: str, tmp_path: Path) -> None:
    made = together(
        kind,
        tmp_path,
        founded,
        *(
            lambda engine, three, number=number: save_draft(Context(engine, three[number]), document())
            for number in range(3)
        ),
    )
    assert sorted(type(each).__name__ for each in made) == ["ConflictError", "ConflictError", "DraftSaved"]
