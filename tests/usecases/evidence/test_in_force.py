"""Evidence of what was in force: the versions of lists, policies and groups, from when and until when."""

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.rate_files import DatedRate, read_dated_rates
from fivefold.store.tables.accounts import RateTableRow
from fivefold.store.tables.entities import EntityType, ListVersionRow
from fivefold.store.tables.events import Policy
from fivefold.store.tables.groups import GroupVersion, NamedGroup
from fivefold.usecases.evidence.groups import groups_deciding
from fivefold.usecases.evidence.in_force import in_force_part
from fivefold.usecases.evidence.purposes import policies_deciding
from fivefold.usecases.shared.inputs import Quarter
from tests.usecases.governed import founded, organisation

QUARTER = Quarter("a time", 100, 200)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("stored", "in_force"),
    [
        pytest.param([(10, 20), (50, 60)], [50], id="an end before the quarter"),
        pytest.param([(10, 20), (50, 150)], [10, 50], id="the next began before the quarter and was stored in it"),
        pytest.param([(10, 20), (50, 100)], [50], id="the next was stored as the quarter began"),
        pytest.param([(10, 20), (150, 160)], [10, 150], id="the next begins in the quarter and was stored later"),
        pytest.param([(10, 20), (150, 30)], [10, 150], id="the next was stored before it begins"),
        pytest.param([(10, 20), (200, 30)], [10], id="the next begins after the quarter"),
        pytest.param([(10, 150), (50, 60)], [50], id="an earlier date that is stored later never is in force"),
        pytest.param([(10, 20), (50, 160), (70, 150)], [10, 70], id="the last of three was stored before the second"),
        pytest.param([(10, 20), (50, 140), (70, 150)], [10, 50, 70], id="three in turn"),
        pytest.param([(10, 20), (50, 200)], [10], id="what is stored after the quarter changes nothing"),
        pytest.param([(10, 200)], [], id="nothing was stored before the end"),
    ],
)
def test_a_version_is_in_force_from_when_it_begins_and_is_stored(
    engine: Engine, stored: list[tuple[int, int]], in_force: list[int]
) -> None:
    of = organisation(engine)
    said = {"organisation_id": of, "title": "Watched", "source": "us", "members": ["IR"]}
    with Session(engine) as session, session.begin():
        for since_us, created_us in stored:
            session.add(ListVersionRow(**said, name="watched", since_us=since_us, created_us=created_us))
        session.add(ListVersionRow(**said, name="another", since_us=60, created_us=70))
    with Session(engine) as session:
        files = {file.name: file for file in in_force_part(session, of, QUARTER).files}
    found = json.loads(b"".join(files["lists.json"].content()))
    moments = {f"1970-01-01T00:00:00.{since_us:06}+00:00": since_us for since_us, _ in stored}
    assert [moments[each["since"]] for each in found if each["list"] == "watched"] == in_force
    assert [each["list"] for each in found].count("another") == 1


@pytest.mark.postgresql
def test_an_older_version_that_is_approved_later_replaces_a_newer_one(engine: Engine) -> None:
    """The newer one was retired in between; without that the older one is refused."""
    of = founded(engine)[0].organisation_id
    said = {"organisation_id": of, "document": "{}", "canonical": "{}", "content_hash": "0" * 64, "state": "retired"}
    with Session(engine) as session, session.begin():
        type_id = session.scalars(select(EntityType.id)).one()
        group = NamedGroup(organisation_id=of, type_id=type_id, name="watched", purpose="aml", created_us=1)
        session.add(group)
        session.flush()
        for number, approved_us in ((1, 50), (2, 150), (3, 120)):
            moments = {"number": number, "written_by": "x", "written_us": 1, "approved_us": approved_us}
            session.add(Policy(**said, **moments, name="holds"))
            session.add(GroupVersion(**said, **moments, group_id=group.id))
    with Session(engine) as session:
        policies = {row.number: times for row, *times in policies_deciding(session, of, QUARTER)}
        groups = {row.version.number: times for row, *times in groups_deciding(session, of, QUARTER)}
    assert policies == groups == {1: [50, 120], 2: [150, None], 3: [120, 150]}


@pytest.mark.postgresql
def test_every_own_table_of_rates_that_levels_rest_on_is_there_as_the_file_it_was(
    engine: Engine, tmp_path: Path
) -> None:
    of = founded(engine)[0].organisation_id
    tables = {1: (20, "2.0"), 2: (50, "0.1"), 3: (150, "1e-05"), 4: (200, "4.0")}
    with Session(engine) as session, session.begin():
        for number, (created_us, rate) in tables.items():
            said = {"base_currency": "EUR", "source": "us", "content": f'[["XTS","1970-01-01","{rate}"]]'}
            session.add(RateTableRow(organisation_id=of, number=number, created_us=created_us, **said))
    with Session(engine) as session:
        files = {file.name: b"".join(file.content()) for file in in_force_part(session, of, QUARTER).files}
    found = json.loads(files["rates/tables.json"])
    assert [(each["table"], each["from"][-12:-6], each["until"] and each["until"][-12:-6]) for each in found] == [
        (2, "000050", "000150"),
        (3, "000150", None),
    ]
    for each in found:
        path = tmp_path / Path(each["rates"]).name
        path.write_bytes(files[each["rates"]])
        assert read_dated_rates(path).rows == (DatedRate("XTS", date(1970, 1, 1), float(tables[each["table"]][1])),)
    assert {name for name in files if name.endswith(".csv")} == {each["rates"] for each in found}
