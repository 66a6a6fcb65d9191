"""What is to be known of a draft before it is committed."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidRulesetError, NotFoundError
from fivefold.store.rulesets.rulesets import family_named
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.review import Review, context_of, read_matching_ruleset, review_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases.governed import LEVELS, NOW, document, founded, rows_of


def reviewed(engine: Engine, actor: Actor, text: str) -> Review:
    family = save_draft(Context(engine, actor), text, 0).family
    return review_draft(Context(engine, actor).at(NOW), family)


def test_a_draft_without_a_fault_shows_its_examples_and_what_they_reach(engine: Engine, ana: Actor) -> None:
    found = reviewed(engine, ana, document())
    assert (found.errors, found.warnings, found.revision) == ((), (), 1)
    assert [(each.name, each.differences) for each in found.examples] == [("watched", ()), ("north", ())]
    assert found.examples[0].line == "Score 30: Country of residence 30; Medium"
    assert (found.rules_percent, found.cases_percent, found.not_reached) == ("100.0", "100.0", ())
    assert found.content_hash is not None


def test_looking_changes_nothing(engine: Engine, ana: Actor) -> None:
    reviewed(engine, ana, document())
    before = len(rows_of(engine, AuditEntry))
    review_draft(Context(engine, ana), "retail")
    assert len(rows_of(engine, AuditEntry)) == before


IMPOSSIBLE = [
    ("score:", "scores:", "scores: is not a word of the language here; perhaps score"),
    ("at_least: 100000", "equals: yes", "rule income, case 1"),
    (
        "[low, medium, high]",
        "[low, mid, high]",
        "levels: are low, mid, high; those of the organisation are low, medium",
    ),
    ("[low, medium, high]", "[medium, low, high]", "levels: are medium, low, high"),
    ("  income: number\n", "  income: number\n  other: text\n", "fields, other: is not a field of the type customer"),
    ("country: country\n", "country: text\n", "fields, country: is text; of the type customer it is country"),
    ("levels:", "transaction_fields: {desk: text}\nlevels:", "transaction_fields, desk: is not a field of the type"),
    (
        "levels:",
        "case_fields: {desk: text}\nlevels:",
        "there are none; an admin declares one by `case_fields: {desk: text}` in PUT /v1/entity-types/customer",
    ),
    ("levels:", "links: {household: {kind: shared}}\nlevels:", "links, household: is not a link of the type customer"),
    ("in_list: watched", "in_list: unknown", "names the list unknown, which is missing; there are watched"),
    ("{level: medium}", "{level: low}", "example watched: level is medium, not low"),
    ("{level: medium}", "{level: lowest}", "expects the level lowest"),
    ("income: 5}", "previous: {level: low, entered: x}}", "entered is 'x'"),
]


@pytest.mark.parametrize(("old", "new", "told"), IMPOSSIBLE)
def test_what_makes_it_impossible_is_named(engine: Engine, ana: Actor, old: str, new: str, told: str) -> None:
    found = reviewed(engine, ana, document().replace(old, new))
    assert told in "\n".join(map(str, found.errors))


def test_what_examples_do_not_reach_is_named(engine: Engine, ana: Actor) -> None:
    text = document()
    found = reviewed(engine, ana, text[: text.index("  - {name: north")])
    assert [str(error) for error in found.errors] == [
        "examples: reach 50.0 % of rules, at least 100 % are needed: rule country, case 2, rule income, case 1",
        "examples: reach 33.3 % of cases, at least 80 % are needed: rule country, case 2, rule income, case 1",
    ]
    assert (found.rules_percent, found.cases_percent) == ("50.0", "33.3")
    assert found.not_reached == ("rule country, case 2", "rule income, case 1")


def test_doubts_are_no_errors(engine: Engine, ana: Actor) -> None:
    found = reviewed(engine, ana, document().replace("    rationale: How much comes in.\n", ""))
    assert found.errors == ()
    assert [str(warning).partition(": ")[2] for warning in found.warnings] == ["rule income: has no written rationale"]


def test_only_what_is_there_is_reviewed(engine: Engine, ana: Actor) -> None:
    other = founded(engine, "other")[0]
    save_draft(Context(engine, ana), document())
    for actor, family in ((ana, "nothing"), (other, "retail")):
        with pytest.raises(NotFoundError, match=f"there is no ruleset '{family}'"):
            review_draft(Context(engine, actor), family)


def test_fields_that_others_declare_need_not_be_declared(engine: Engine, ana: Actor) -> None:
    define_type(Context(engine, ana), "customer", {"more": "text"}, {"operation": "text"})
    assert reviewed(engine, ana, document()).errors == ()


def test_what_is_to_be_run_has_to_fit(engine: Engine, ana: Actor) -> None:
    save_draft(Context(engine, ana), document())
    with Session(engine) as session:
        around = context_of(session, family_named(session, ana.organisation_id, "retail"))
    assert around.levels == LEVELS
    assert read_matching_ruleset(document(), around).name == "retail"
    assert read_matching_ruleset(document().replace("{level: medium}", "{level: lowest}"), around).name == "retail"
    wrong: dict[str, Any] = {"levels: [low": "levels: [lowest", "{in_list: watched}": "{in_list: gone}", "score:": "s:"}
    for old, new in wrong.items():
        with pytest.raises(InvalidRulesetError):
            read_matching_ruleset(document().replace(old, new), around)
