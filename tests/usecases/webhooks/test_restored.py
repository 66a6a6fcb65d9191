"""A database that was restored from a backup: receivers get every event that is written after it."""

from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.sql.database import reading, require_writable, writing
from fivefold.store.webhooks.outbox import NewEvent, add_events, settled_number
from fivefold.usecases.webhooks.dispatcher import deliver_due
from fivefold.usecases.webhooks.plan import number_from_first_write, number_from_now, require_right_to_number
from tests.store.databases import made_from, new_url, opened, put_in_place_of, with_least_rights, with_standby
from tests.usecases.banks import COUNTRY, Bank, document
from tests.usecases.webhooks.receivers import SECOND_US, Got, endpoint, organisation, receiving, tell


@dataclass
class Follower:
    """A receiver that follows docs/webhooks.md: it passes over names that it knows, and what is older."""

    names: set[str] = field(default_factory=set)
    sequences: dict[str, int] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    repeated: int = 0

    def take(self, got: Got) -> int:
        told = got.told
        who = told["entity"]["id"]
        if told["event_id"] in self.names:
            self.repeated += 1
        elif told["sequence"] > self.sequences.get(who, 0):
            self.sequences[who], self.levels[who] = told["sequence"], told["data"]["to"]
        self.names.add(told["event_id"])
        return 200


def back_up(url: str, folder: Path) -> str:
    """Copy a database as it is now; gives what `restored` takes."""
    with opened(url) as engine:
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                connection.exec_driver_sql(f"VACUUM INTO '{folder / 'backup.db'}'")
            return str(folder / "backup.db")
    return made_from(url)


def restored(kind: str, backup: str) -> str:
    """Give the address of a database as it was when the backup was made."""
    return f"sqlite:///{backup}" if kind == "sqlite" else made_from(backup)


def assessed(bank: Bank, country: str, customer: str = "c1") -> None:
    """Let a customer reach a level, as a worker would, and send what is to be sent."""
    bank.wait(days=1)
    bank.put(customer, country=country)
    bank.settle()
    deliver_due(bank.engine, bank.now)


def begun_again(bank: Bank, engine: Engine) -> Bank:
    """Take a bank on in another database."""
    again = copy(bank)
    again.engine = engine
    return again


def test_what_is_written_after_a_restore_is_neither_known_nor_older(kind: str, tmp_path: Path) -> None:
    url, follower = new_url(kind, tmp_path), Follower()
    with receiving(follower.take) as receiver:
        with opened(url) as engine:
            number_from_now(engine)
            bank = Bank(engine)
            bank.activate(document({"country": COUNTRY}))
            endpoint(engine, bank.of, receiver.url)
            assessed(bank, "NO")
        backup = back_up(url, tmp_path)
        with opened(url) as engine:
            later = begun_again(bank, engine)
            for country in ("RU", "IR", "NO"):
                later.wait(days=15)
                assessed(later, country)
            assert follower.levels == {"c1": "low"}
        with opened(restored(kind, backup)) as engine:
            number_from_now(engine)
            bank = begun_again(bank, engine)
            bank.now = later.now
            assessed(bank, "IR")
            assessed(bank, "IR", "c2")
    assert follower.levels == {"c1": "high", "c2": "high"}
    assert follower.repeated == 0


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_what_is_written_after_a_failover_to_a_standby_that_lagged_has_larger_numbers(
    kind: str, tmp_path: Path
) -> None:
    """A worker that ran on numbered new events as those that the standby lacked."""
    url = new_url(kind, tmp_path)
    with opened(url) as engine:
        ours = organisation(engine)
        number_from_now(engine)
    with with_standby(url) as (address, fail_over), opened(address) as engine:
        number_from_now(engine)
        lost = numbered(engine, ours, "c1-lost")
        fail_over()
        first, second = (numbered(engine, ours, name) for name in ("c1-new", "c1-next"))
    assert lost < first
    assert second == first + 1


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_what_a_program_writes_after_a_restore_that_it_ran_through_has_larger_numbers(
    kind: str, tmp_path: Path
) -> None:
    """Somebody restores a database on the same server, and forgets a service that is connected."""
    url = made_from(new_url(kind, tmp_path))
    with opened(url) as engine:
        ours = organisation(engine)
        number_from_first_write(engine)
        numbered(engine, ours, "c1-before")
        engine.dispose()
        backup = back_up(url, tmp_path)
        lost = [numbered(engine, ours, f"c1-lost-{number}") for number in range(3)]
        engine.dispose()
        put_in_place_of(url, backup)
        assert numbered(engine, ours, "c1-new") > max(lost)


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_sequence_that_was_restored_in_place_is_another_one(kind: str, tmp_path: Path) -> None:
    """As by `pg_restore --clean`, which makes each table and sequence of the database anew."""
    with opened(made_from(new_url(kind, tmp_path))) as engine:
        ours = organisation(engine)
        number_from_first_write(engine)
        lost = numbered(engine, ours, "c1-lost")
        with engine.begin() as connection:
            connection.execute(text("CREATE SEQUENCE anew"))
            connection.execute(text("ALTER TABLE outbox ALTER COLUMN id SET DEFAULT nextval('anew')"))
            connection.execute(text("DROP SEQUENCE outbox_id_seq"))
            connection.execute(text("ALTER SEQUENCE anew RENAME TO outbox_id_seq"))
        engine.dispose()
        assert numbered(engine, ours, "c1-new") > lost


def numbered(engine: Engine, ours: int, name: str) -> int:
    """Write an event of the first customer, and give its number."""
    with writing(engine) as session:
        add_events(session, ours, [NewEvent(name, "level.reached", 1, 0, "{}")])
        return session.scalars(text("SELECT id FROM outbox WHERE event_id = :name"), {"name": name}).one()


def test_numbers_go_on_above_those_of_a_clock_that_was_ahead(engine: Engine) -> None:
    ours = organisation(engine)
    tell(engine, ours, ["c1-a"])
    numbers = []
    for name in ("c1-b", "c1-c"):
        number_from_now(engine)
        tell(engine, ours, [name])
        with reading(engine) as session:
            numbers.append(settled_number(session))
    first, second = numbers
    assert abs(first - now_microseconds()) < 600 * SECOND_US
    assert second >= first + SECOND_US


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_role_that_may_not_move_the_numbers_is_named_what_it_lacks(kind: str, tmp_path: Path) -> None:
    url = new_url(kind, tmp_path)
    with with_least_rights(url) as engine:
        number_from_now(engine)
        require_right_to_number(engine)
        with opened(url) as owner, owner.begin() as connection:
            connection.execute(text("REVOKE UPDATE ON SEQUENCE outbox_id_seq FROM fivefold_service"))
        number_from_first_write(engine)
        for use in (number_from_now, require_right_to_number, require_writable):
            with pytest.raises(StoreError, match="GRANT UPDATE ON SEQUENCE outbox_id_seq"):
                use(engine)


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_role_that_may_not_ask_which_server_answers_is_told_so(kind: str, tmp_path: Path) -> None:
    url = new_url(kind, tmp_path)
    server = "ON FUNCTION pg_postmaster_start_time()"
    with with_least_rights(url) as engine, opened(url) as owner:
        with owner.begin() as connection:
            connection.execute(text(f"REVOKE EXECUTE {server} FROM PUBLIC"))
        for use in (require_right_to_number, require_writable):
            use(engine)  # the documentation gives the right to this role
        engine.dispose()
        with owner.begin() as connection:
            connection.execute(text(f"REVOKE EXECUTE {server} FROM fivefold_service"))
        for use in (require_right_to_number, require_writable):
            with pytest.raises(StoreError, match=r"GRANT EXECUTE ON FUNCTION pg_postmaster_start_time\(\) TO the role"):
                use(engine)


def test_a_service_lets_the_numbers_go_on_with_the_first_that_it_stores(engine: Engine) -> None:
    """It begins although nothing can be stored, as where its clock is wrong."""
    ours = organisation(engine)
    number_from_first_write(engine)
    before = now_microseconds()
    with suppress(ZeroDivisionError), writing(engine):
        raise ZeroDivisionError  # the numbers go on all the same, and go no further with the next transaction
    numbers = []
    for name in ("c1-a", "c1-b"):
        tell(engine, ours, [name])
        with writing(engine):
            pass
        with reading(engine) as session:
            numbers.append(settled_number(session))
    first, second = numbers
    assert before < first
    assert second == first + 1


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_the_first_write_of_a_service_holds_nothing_that_others_wait_for(engine: Engine) -> None:
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    number_from_first_write(engine)
    with writing(engine) as session:
        assert session.scalar(held) == 0
