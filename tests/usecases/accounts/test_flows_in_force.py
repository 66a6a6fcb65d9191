"""The versions that ever decided, of which a flow that gave a tag may have asked one."""

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from fivefold.store.rulesets.activations import begin
from fivefold.usecases.accounts.flows_in_force import DecidedOverTime
from tests.store.rulesets.test_activations import change
from tests.store.stored import family_of, type_of


def test_rulesets_that_decided_are_read_at_once_however_often_they_changed(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        family = family_of(session, kind, "one", 1, versions=4)
        for number, version in enumerate((3, 1, 2, None, 4)):
            begin(session, family, change(version, 10 + number, "off" if version is None else "activation"))
        organisation = kind.organisation_id
    statements: list[str] = []

    def note(*given: object) -> None:
        statements.append(str(given[2]))

    event.listen(engine, "before_cursor_execute", note)
    with Session(engine) as session:
        decided = DecidedOverTime.of(session, organisation).rulesets["one"]
    event.remove(engine, "before_cursor_execute", note)
    assert [None if version is None else version.number for _, version in decided] == [3, 1, 2, None, 4]
    assert len([each for each in statements if "ruleset_versions.canonical" in each]) == 1
