"""History is what the audit log says it is: whoever changes a row is refused, or found, and the row is named."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from fivefold.store.audit.chain import digest_of
from fivefold.usecases.audit.history import ranges_text
from fivefold.usecases.audit.verify import verify_picture
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.shared.context import Context
from tests.depth import some
from tests.store.audits import bind_unnamed, findings_of, forged, unguarded
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version, put_rates
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import peopled


def recorded(engine: Engine) -> Bank:
    """Two customers with transactions of the same calls, one of which was pending first; levels; decisions."""
    made = peopled(engine)
    made.pay(20, "bystander", transaction_id="pending-1", transaction_state="PENDING")
    made.pay(20, "bystander", transaction_id="pending-1", transaction_state="SUCCEEDED")
    put_list_version(Context(engine, made.actor).at(made.now), "watched", 0, ("IR",), "Whom we watch", "our own")
    put_rates(Context(engine, made.actor).at(made.now), {"currency": "AED", "date": "2024-06-28", "rate": 0.25})
    made.override("bystander", 1)  # it was asked for and approved; that of peopled as well
    made.settle()
    bind_unnamed(engine)
    return made


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return recorded(engine)


def findings(bank: Bank) -> list[str]:
    return findings_of(bank.engine)


def forge(bank: Bank, statement: str) -> list[str]:
    """Change something as the owner of the database can, with its guards asleep; what is found then."""
    with forged(bank.engine) as connection:
        assert connection.execute(text(statement)).rowcount > 0
    return findings(bank)


@pytest.mark.postgresql
def test_what_nobody_changed_is_whole(bank: Bank) -> None:
    assert findings(bank) == []


FORGED = {
    "UPDATE transactions SET amount = amount + 0.01 WHERE transaction_id = 'bystander-t'": "bystander-t",
    "UPDATE transactions SET entity_id = 1 WHERE transaction_id = 'bystander-u'": "bystander-u",
    "UPDATE transactions SET content = NULL WHERE transaction_id = 'bystander-t'": "bystander-t",
    "UPDATE transactions SET state = 'FAILED' WHERE transaction_id = 'pending-1'": "pending-1",
    "UPDATE transactions SET state = 'FAILED' WHERE transaction_id = 'bystander-t'": "bystander-t",
    "UPDATE transactions SET settled_batch = NULL WHERE transaction_id = 'pending-1'": "pending-1",
    "DELETE FROM transactions WHERE transaction_id = 'bystander-t'": "1 of its 1 transactions are missing",
    "UPDATE transactions SET batch = NULL WHERE transaction_id = 'bystander-t'": "1 of its 1 transactions are missing",
    "UPDATE transactions SET batch = 7 WHERE transaction_id = 'bystander-t'": "no entry says that these were written",
    "UPDATE assessments SET level = 1 WHERE entity_id = 1 AND number = 1": "assessments that were changed",
    "UPDATE assessments SET score = '0' WHERE entity_id = 1 AND number = 1": "were changed: 1.1",
    "UPDATE assessments SET breakdown = '{}' WHERE entity_id = 1 AND number = 1": "the breakdown of assessment 1.1",
    "UPDATE assessment_inputs SET content = '{}' WHERE entity_id = 1 AND number = 1": "the inputs or the breakdown of",
    "UPDATE assessment_inputs SET salt = NULL WHERE entity_id = 1 AND number = 1": "the entity was not erased",
    "UPDATE input_layouts SET content = '{}'": "of inputs was changed",
    "DELETE FROM input_layouts WHERE TRUE": "the layout of the inputs of assessment 1.1 is missing",
    "DELETE FROM assessments WHERE entity_id = 1 AND number = 1": "assessments are missing",
    "DELETE FROM transitions WHERE entity_id = 1 AND number = 1": "were changed: 1.1",
    "UPDATE transitions SET to_level = 1 WHERE entity_id = 1 AND number = 1": "were changed: 1.1",
    "UPDATE transitions SET at_us = 1 WHERE entity_id = 1 AND number = 1": "has another moment or source",
    "UPDATE standings SET level = 1 WHERE entity_id = 1": "the standing of entity 1 is not that of assessment",
    "UPDATE standings SET number = 99": "the standing of entity 2 names assessment 2.99, and its newest one is 2.1",
    "UPDATE standings SET hard_floor = 2, floor = 2 WHERE entity_id = 2": "of assessment 2.1: floor, hard_floor",
    "UPDATE standings SET may_move_down_us = 1 WHERE entity_id = 2": "entity 2 is not that of assessment 2.1: may_move",
    "UPDATE standings SET entered_us = 1 WHERE entity_id = 2": "entity 2 is not that of assessment 2.1: entered_us",
    "UPDATE standings SET score = score + 1 WHERE entity_id = 2": "entity 2 is not that of assessment 2.1: score",
    "UPDATE standings SET level_since_us = 1 WHERE entity_id = 2": "2 is not that of assessment 2.1: level_since_us",
    "UPDATE standings SET override_id = 77 WHERE entity_id = 2": "entity 2 is not that of assessment 2.1: override_id",
    "UPDATE standings SET type_id = 7 WHERE entity_id = 2": "entity 2 is not that of assessment 2.1: type_id",
    "DELETE FROM standings WHERE entity_id = 2": "the standing of entity 2 is missing, and its newest assessment is",
    "UPDATE decisions SET action = 'block' WHERE id = 1": "decision 1 was changed since: action",
    "UPDATE decisions SET answer = '{}' WHERE id = 1": "decision 1 was changed since: answer",
    "UPDATE decisions SET inputs = NULL WHERE id = 1": "decision 1 was changed since: inputs",
    "UPDATE decisions SET entity_id = 3 - entity_id WHERE id = 1": "decision 1 was changed since: entity_id",
    "UPDATE decisions SET actor = 'member:9' WHERE id = 1": "decision 1 was changed since: actor",
    "UPDATE decisions SET at_us = at_us - 1 WHERE id = 1": "decision 1 was changed since: at_us",
    "UPDATE decisions SET policy_id = 3 - policy_id WHERE id = 1": "decision 1 was changed since: policy_id",
    "UPDATE decisions SET assessment_number = 9 WHERE id = 1": "decision 1 was changed since: assessment_number",
    "UPDATE decisions SET value_as_of_us = 9 WHERE id = 1": "decision 1 was changed since: value_as_of_us",
    "UPDATE decisions SET decision_key = 'x' WHERE id = 1": "decision 1 was changed since: decision_key",
    "DELETE FROM decisions WHERE id = 1": "decision 1 is missing",
    'UPDATE list_versions SET members = \'["IR","KP"]\'': "list watched since 0 was changed since: members",
    "UPDATE list_versions SET members = 'none'": "list watched since 0 was changed since: members",
    "UPDATE list_versions SET source = 'a letter'": "list watched since 0 was changed since: words",
    "UPDATE list_versions SET since_us = 7": "no entry says that list watched since 7 was written",
    "DELETE FROM list_versions WHERE TRUE": "list watched since 0 is missing",
    'UPDATE rate_tables SET content = \'[["AED","2024-06-28","0.00025"]]\'': "rate table 1 was changed since: content",
    "UPDATE rate_tables SET source = 'a letter'": "rate table 1 was changed since: source",
    "UPDATE rate_tables SET created_us = 7": "rate table 1 was changed since: created_us",
    "UPDATE rate_tables SET number = 7": "no entry says that rate table 7 was written",
    "DELETE FROM rate_tables WHERE TRUE": "rate table 1 is missing",
    "UPDATE overrides SET level = 2 WHERE id = 3": "override 3 was changed since: level",
    "UPDATE overrides SET until_us = 7, state = 'refused' WHERE id = 3": "changed since: state, until_us",
    "UPDATE overrides SET decided_by = 'member:9' WHERE id = 3": "override 3 was changed since: decided_by",
    "UPDATE overrides SET requested_us = 7 WHERE id = 3": "override 3 was changed since: requested_us",
    "UPDATE overrides SET reason = 'other' WHERE id = 3": "override 3 was changed since: reason",
    "UPDATE overrides SET entity_id = 1 WHERE id = 3": "override 3 was changed since: entity_id",
    "UPDATE overrides SET id = 99 WHERE id = 3": "no entry says that override 99 was written",
    "DELETE FROM overrides WHERE id = 3": "override 3 is missing",
    "UPDATE decisions SET id = 99 WHERE id = 1": "no entry says that decision 99 was made",
}


def test_whatever_is_forged_is_found_and_named(bank: Bank) -> None:
    """1,320 assessments were changed by one UPDATE, and the log verified as whole."""
    with bank.engine.connect() as connection:
        kept = {name: connection.execute(text(f"SELECT * FROM {name}")).mappings().all() for name in TABLES}
    missed = {}
    for statement, problem in some([*FORGED.items()], 3):
        found = forge(bank, statement)
        if not any(problem in each for each in found):
            missed[statement] = found
        with forged(bank.engine) as connection:
            table = next(name for name in TABLES if f" {name} " in statement)
            connection.execute(text(f"DELETE FROM {table}"))
            names = list(kept[table][0])
            holders = ", ".join(f":{name}" for name in names)
            connection.execute(
                text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({holders})"),
                [dict(row) for row in kept[table]],
            )
    assert missed == {}
    assert findings(bank) == []


TABLES = (
    "input_layouts",
    "transactions",
    "assessment_inputs",
    "assessments",
    "transitions",
    "standings",
    "decisions",
    "overrides",
    "list_versions",
    "rate_tables",
)


def test_rates_of_an_older_program_are_compared_as_far_as_its_entries_say(bank: Bank) -> None:
    """They had the number, the base currency and the digest of the rates."""
    context, content = Context(bank.engine, bank.actor), '[["AED","2024-07-28","0.26"]]'
    with context.writing() as session:
        session.execute(
            text("INSERT INTO rate_tables VALUES (:of, 2, 'EUR', 'theirs', :content, 7)"),
            {"of": bank.of, "content": content},
        )
        details = {"number": 2, "base_currency": "EUR", "content": digest_of([content])}
        context.record(session, "rates.added", ("organisation", bank.of), details=details)
    assert findings(bank) == []
    assert forge(bank, "UPDATE rate_tables SET source = 'other' WHERE number = 2") == []
    (found,) = forge(bank, "UPDATE rate_tables SET content = '[]' WHERE number = 2")
    assert "rate table 2 was changed since: content" in found


def test_what_is_put_in_beside_the_program_is_found(bank: Bank) -> None:
    found = forge(
        bank,
        "INSERT INTO assessments SELECT entity_id, 99, organisation_id, as_of_us, version_id, source, status, 1,"
        " rules_level, floor, score, engine, breakdown, batch FROM assessments WHERE entity_id = 1 AND number = 1",
    )
    assert any("were changed: 1.99" in each for each in found), found


@pytest.mark.postgresql
def test_a_score_that_is_no_number_is_named(bank: Bank) -> None:
    """It ended the comparison with a fault of the program, and what comes behind it was not told."""
    found = forge(bank, "UPDATE assessments SET score = 'x' WHERE entity_id = 2")
    assert any("the standing of entity 2 is not that of assessment 2.1: score" in each for each in found), found


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE transactions SET at_us = 'soon' WHERE transaction_id = 'bystander-t'", "bystander-t"),
        ("UPDATE assessments SET floor = 'low' WHERE entity_id = 1 AND number = 1", "row of assessments 1.1"),
        ("UPDATE decisions SET inputs = x'ff00' WHERE id = 1", "row of decisions 1"),
    ],
)
def test_a_value_of_another_kind_than_its_column_is_named(bank: Bank, statement: str, row: str) -> None:
    """SQLite takes any; each of these ended the comparison with a fault of the program, and nothing was told."""
    if bank.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL takes no value of another kind")
    found = forge(bank, statement)
    assert any(row in each and "has a value of the kind" in each for each in found), found
    assert any("history is compared no further" in each for each in found), found


REFUSED = [
    "UPDATE transactions SET amount = 1",
    "UPDATE transactions SET state = 'FAILED' WHERE transaction_id = 'bystander-t'",
    "UPDATE transactions SET state = 'FAILED' WHERE transaction_id = 'pending-1'",
    "DELETE FROM transactions",
    "UPDATE assessments SET level = 1",
    "UPDATE assessments SET breakdown = NULL",
    "DELETE FROM assessments",
    "UPDATE assessment_inputs SET content = '{}'",
    "UPDATE assessment_inputs SET content = NULL, salt = NULL",
    "DELETE FROM assessment_inputs",
    "UPDATE input_layouts SET content = '{}'",
    "DELETE FROM input_layouts",
    "UPDATE transitions SET to_level = 1",
    "DELETE FROM transitions",
    "UPDATE decisions SET action = 'block'",
    "UPDATE decisions SET inputs = NULL, answer = NULL, decision_key = NULL",
    "DELETE FROM decisions",
    "UPDATE overrides SET level = 2",
    "UPDATE overrides SET state = 'requested'",
    "DELETE FROM overrides",
    "UPDATE list_versions SET members = '[]'",
    "DELETE FROM list_versions",
    "UPDATE rate_tables SET content = '[]'",
    "DELETE FROM rate_tables",
    "UPDATE attributes SET content = '{}'",
    "DELETE FROM attributes",
    "UPDATE screenings SET found = NOT found",
    "DELETE FROM screenings",
    "UPDATE tags SET tag = 'other'",
    "DELETE FROM tags",
    "UPDATE records SET external_id = external_id || 'x'",
    "DELETE FROM records",
]


@pytest.mark.postgresql
def test_the_database_refuses_to_change_history(bank: Bank) -> None:
    passed: list[str] = []
    for statement in REFUSED:
        try:
            with bank.engine.begin() as connection:
                connection.execute(text(statement))
            passed.append(statement)
        except DBAPIError as error:
            assert "is refused" in str(error), statement  # noqa: PT017 (all statements are tried)
    assert passed == []
    assert findings(bank) == []


def test_after_an_erasure_the_rest_of_its_calls_is_still_bound(bank: Bank, tmp_path: Path) -> None:
    rows = [
        {
            "transaction_id": f"both-{number}",
            "user_id": name,
            "transaction_amount": 5.0,
            "transaction_currency": "EUR",
            "transaction_date": "2016-01-01T00:00:00",
        }
        for number, name in enumerate(("zanzibar-1", "bystander"))
    ]
    from fivefold.usecases.ingest.transactions import add_transactions

    add_transactions(bank.context, rows)
    with bank.engine.connect() as connection:
        number = connection.scalar(text("SELECT max(number) FROM audit_entries"))
    bank.wait(3650)
    erase_entity(bank.context, "customer", "zanzibar-1", tmp_path / "e")
    assert findings(bank) == []
    with bank.engine.connect() as connection:
        of_call = text("SELECT salt, before, after FROM audit_values WHERE number = :number")
        assert connection.execute(of_call, {"number": number}).all() == [(None, None, None)], "what sealed it before"
    found = forge(bank, "UPDATE transactions SET amount = 6 WHERE transaction_id = 'both-1'")
    assert any("were changed: both-1" in each for each in found), found


PUT_BACK = {
    "UPDATE assessment_inputs SET content = '[]', salt = 'ab' WHERE entity_id = 1": "assessment 1.1 are there",
    "UPDATE assessment_inputs SET salt = 'ab' WHERE entity_id = 1": "assessment 1.1 are there",
    "UPDATE assessments SET breakdown = '[]' WHERE entity_id = 1": "assessment 1.1 are there",
    "UPDATE decisions SET inputs = 'zanzibar' WHERE entity_id = 1": "decision 1 was changed since: inputs",
    "UPDATE overrides SET reason = 'zanzibar' WHERE entity_id = 1": "override 1 has a reason, and its entity was",
    "UPDATE standings SET segment = 'high' WHERE entity_id = 1": "is not that of assessment 1.1: segment",
}


def test_what_is_put_back_of_whom_was_erased_is_found(bank: Bank, tmp_path: Path) -> None:
    erase_entity(bank.context, "customer", "zanzibar-1", tmp_path / "e")
    assert findings(bank) == []
    for statement, said in PUT_BACK.items():
        with unguarded(bank.engine) as connection:
            assert connection.execute(text(statement)).rowcount > 0
            told: list[str] = []
            verify_picture(connection, lambda found, told=told: told.append(str(found)))
        assert any(said in each for each in told), (statement, told)


def test_inputs_without_an_assessment_are_found(bank: Bank) -> None:
    """A row under the next number: no worker can store an assessment of that entity any more."""
    found = forge(
        bank,
        "INSERT INTO assessment_inputs SELECT entity_id, number + 1, content, salt, sha256, removed_by"
        " FROM assessment_inputs WHERE entity_id = 1 ORDER BY number DESC LIMIT 1",
    )
    assert found == ["organisation bank (1): row of assessment_inputs 1.2 belongs to no assessment"]


WIPED = "UPDATE audit_values SET salt = NULL, before = NULL, after = NULL, erased_us = 1 WHERE number = 2"


def test_values_that_are_wiped_by_hand_are_found(bank: Bank, tmp_path: Path) -> None:
    """The trigger lets an erasure pass, and a plain UPDATE that looks like one: the log says which it was."""
    erase_entity(bank.context, "customer", "zanzibar-1", tmp_path / "e")
    assert findings(bank) == []
    with bank.engine.begin() as connection:
        number = connection.scalar(text("SELECT max(number) FROM audit_values WHERE erased_us IS NULL"))
        connection.execute(text(WIPED.replace("number = 2", f"number = {number}")))
    assert any(f"entry {number}: its values are missing, and no erasure" in each for each in findings(bank))


@pytest.mark.postgresql
def test_a_seal_that_replaces_another_needs_an_erasure(bank: Bank) -> None:
    """Who may write entries could seal forged rows again; that stands in the log, and is found."""
    from sqlalchemy.orm import Session

    from fivefold.store.audit.history_reading import SEALED, lines_of_batches
    from fivefold.usecases.audit.record import record_rows

    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE transactions SET amount = 1 WHERE transaction_id = 'bystander-t'"))
    with Session(bank.engine) as session, session.begin():
        batch = session.scalar(text("SELECT batch FROM transactions WHERE transaction_id = 'bystander-t'"))
        ((_, lines),) = lines_of_batches(session, [batch])
        record_rows(session, bank.actor, (SEALED, "transaction", batch), lines, {})
    assert [each for each in findings(bank) if "no erasure follows it" in each]


def test_what_is_put_in_as_if_it_were_of_before_seals_is_found(bank: Bank) -> None:
    found = forge(
        bank,
        "INSERT INTO assessments SELECT entity_id, 0, organisation_id, as_of_us, version_id, source, status, level,"
        " rules_level, floor, score, engine, breakdown, NULL FROM assessments WHERE entity_id = 1 AND number = 1",
    )
    assert found == ["organisation bank (1): no entry says that these were written: assessments 1.0"]


def test_a_transition_without_an_assessment_is_found(bank: Bank) -> None:
    found = forge(
        bank, "INSERT INTO transitions SELECT entity_id, 99, 1, 7, 1, 3, 'rules' FROM standings WHERE entity_id = 1"
    )
    assert found == [
        "organisation bank (1): row of transitions 1.99 belongs to no assessment",
        "organisation bank (1): the standing of entity 1 is not that of assessment 1.1: level_since_us",
        (
            "organisation bank (1): level_move_counts says 0 entities for type_id 1, day 0, from_level 1, to_level 3,"
            " and its transitions say 1 entities; `fivefold audit recount` counts them anew"
        ),
    ]


def test_history_that_is_moved_to_another_organisation_is_found(bank: Bank) -> None:
    """Another bank's people could read it, and its own would miss it."""
    other = Bank(bank.engine, "other").of
    bind_unnamed(bank.engine)

    def moved(table: str, to: int) -> str:
        return "; ".join(forge(bank, f"UPDATE {table} SET organisation_id = {to} WHERE entity_id = 1"))

    assert f"assessments of it were moved to organisation {other}" in moved("assessments", other)
    moved("assessments", bank.of)
    assert f"the transition of assessment 1.1 is in organisation {other}" in moved("transitions", other)
    assert moved("transitions", bank.of) == ""
    found = forge(bank, f"UPDATE transactions SET organisation_id = {other} WHERE transaction_id = 'bystander-t'")
    assert any(f"transactions of it were moved to organisation {other}" in each for each in found), found


@pytest.mark.parametrize(("numbers", "said"), [([], ""), ([5], "5"), ([1, 2, 3, 9, 11, 12], "1-3,9,11-12")])
def test_numbers_as_ranges(numbers: list[int], said: str) -> None:
    assert ranges_text(numbers) == said
