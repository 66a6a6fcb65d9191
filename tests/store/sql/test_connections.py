"""A database that takes what is sent and brings nothing back is left for another connection."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import perf_counter

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import StoreError
from fivefold.serving import quota
from fivefold.serving.authentication import Authenticator
from fivefold.serving.quota import QuotaCharger
from fivefold.store.accounts.plans import read_plans
from fivefold.store.accounts.tokens import Allowance, Charge
from fivefold.store.sql.database import KEEPALIVE, open_database, reachable, require_current
from fivefold.store.sql.statements import write_rows
from fivefold.usecases.accounts.tokens import create_token
from tests.pace import slowness
from tests.store import databases
from tests.store.silence import Way, way_to

SECONDS = min(0.5 * slowness(), 5.0)
"""Of an answer that comes: many times what one takes, on a machine that is busy too."""
FAR_BELOW_FOR_EVER_SECONDS = 60


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    url = databases.new_url("postgresql", tmp_path_factory.mktemp("unused"))
    with way_to(url) as found:
        yield found


@pytest.fixture
def engine(way: Way) -> Iterator[Engine]:
    made = open_database(way.url, answer_seconds=SECONDS)
    yield made
    made.dispose()


def ask(engine: Engine) -> int:
    with reachable(engine), engine.connect() as connection:
        return int(connection.execute(text("SELECT 1")).scalar_one())


def test_a_connection_that_went_silent_in_the_pool_is_replaced(engine: Engine, way: Way) -> None:
    """It was waited for without end, by every thread, while readiness said that all was well."""
    assert ask(engine) == 1
    way.go_silent()
    begun = perf_counter()
    assert ask(engine) == 1
    assert perf_counter() - begun < FAR_BELOW_FOR_EVER_SECONDS
    require_current(engine)


def test_one_that_goes_silent_in_a_transaction_is_out_of_reach_and_the_next_is_not(engine: Engine, way: Way) -> None:
    def ask_twice() -> None:
        with reachable(engine), engine.begin() as connection:
            connection.execute(text("SELECT 1"))
            way.go_silent()
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreError):
        ask_twice()
    assert ask(engine) == 1


def test_a_database_that_is_full_while_rows_are_copied_is_out_of_reach(engine: Engine) -> None:
    """A copy asks the driver itself, whose errors nothing wraps: they came to the caller as faults of ours."""

    def copy() -> None:
        with reachable(engine), engine.begin() as connection:
            says = "'BEGIN RAISE EXCEPTION USING ERRCODE = ''disk_full''; END'"
            for statement in (
                "CREATE TEMP TABLE copied (number integer)",
                f"CREATE FUNCTION pg_temp.say_full() RETURNS trigger LANGUAGE plpgsql AS {says}",
                "CREATE TRIGGER full_disk BEFORE INSERT ON copied FOR EACH ROW EXECUTE FUNCTION pg_temp.say_full()",
            ):
                connection.execute(text(statement))
            write_rows(connection, "copied", ["number"], [[1]])

    with pytest.raises(StoreError):
        copy()
    assert ask(engine) == 1


def test_a_statement_that_takes_long_without_a_limit_is_waited_for(way: Way) -> None:
    patient = open_database(way.url)
    with patient.connect() as connection:
        connection.execute(text("SELECT pg_sleep(0.7)"))
    patient.dispose()


def test_where_all_connections_wait_the_schema_cannot_be_looked_at(way: Way) -> None:
    """It is an answer to a probe, not a fault of ours."""
    small = open_database(way.url)
    with ExitStack() as taken:
        for _ in range(20):
            taken.enter_context(small.connect())
        small.pool._timeout = 0.1  # type: ignore[attr-defined]  # 30 seconds otherwise
        with pytest.raises(StoreError, match="cannot be reached: all connections wait"):
            require_current(small)
    small.dispose()


def test_what_the_address_says_itself_holds(way: Way) -> None:
    own = open_database(f"{way.url}{'&' if '?' in way.url else '?'}keepalives_idle=7&connect_timeout=3")
    with own.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        said = {option.keyword.decode(): option.val for option in driver.pgconn.info}
        assert (said["keepalives_idle"], said["connect_timeout"]) == (b"7", b"3")
        assert said["tcp_user_timeout"] == str(KEEPALIVE["tcp_user_timeout"]).encode()
    own.dispose()


def test_scoring_recovers_from_a_database_that_went_silent(engine: Engine, way: Way) -> None:
    """The token is looked up, and the request charged, on other connections."""
    _, secret = create_token(engine, read_plans(None), plan="unlimited")
    book = QuotaCharger(engine)
    book.start()

    async def score() -> bool | None:
        credential = await Authenticator(engine).authenticate(secret)
        return await book.charge(
            Charge(
                token_id=credential.token_id,
                month="2026-11",
                users=1,
                allowance=Allowance(9, 9),
                at_us=1_800_000_000_000_000,
            )
        )

    assert asyncio.run(score()) is True
    way.go_silent()
    begun = perf_counter()
    assert asyncio.run(score()) is True
    assert perf_counter() - begun < FAR_BELOW_FOR_EVER_SECONDS
    book.stop()


def test_charges_that_wait_are_a_reason_not_to_be_ready(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def waits(_: object, costs: list[Charge], wanted: Callable[[int], bool], __: object) -> list[bool]:
        assert [wanted(number) for number in range(len(costs))] == [True]
        begun.set()
        assert go_on.wait(60)
        return [True] * len(costs)

    monkeypatch.setattr(quota, "charge_all", waits)
    monkeypatch.setattr(quota, "STUCK_SECONDS", 0.05)
    book = QuotaCharger(engine)
    book.start()

    async def charge() -> None:
        charging = asyncio.create_task(
            book.charge(Charge(token_id=1, month="2026-11", users=1, allowance=Allowance(9, 9), at_us=0))
        )
        await asyncio.to_thread(begun.wait)
        await asyncio.sleep(0.1)
        assert book.problem() == "charges wait for the database"
        go_on.set()
        assert await charging is True

    asyncio.run(charge())
    book.stop()
    assert book.problem() == ""
