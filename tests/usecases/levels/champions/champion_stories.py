"""What stories of champions share: a registry, a worker, and how everyone's value and mark are read."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import FingerprintMismatchError, RegistryError
from fivefold.domain.settings import Settings
from fivefold.models.value_model import ValueModel
from fivefold.store.levels.champions import begin_champion
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.levels.value_scores import read_value
from fivefold.usecases.levels.worker_loop import ChampionWatcher
from fivefold.usecases.portfolio.current_levels import list_current_levels
from fivefold.usecases.portfolio.export import export_customer
from fivefold.usecases.portfolio.search import Search, search_entities
from fivefold.usecases.portfolio.values import list_values, read_value_alone, search_values
from tests.usecases.banks import Bank

MODEL = "fivefold-value"


NAMES = ("a", "b", "c", "d")


WHOLE = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}


class Shelf:
    """A registry: its champion, and the model that each version is."""

    name = MODEL
    client = SimpleNamespace(get_experiment_by_name=lambda _: None)
    number: int | None = None
    run_id = "first"
    model: Any = None
    broken: tuple[int, ...] = ()
    down = False
    lost: tuple[int, ...] = ()

    def __init__(self, *_: Any) -> None:
        """Be like any other."""

    def champion(self) -> Any:
        if Shelf.down:
            raise RegistryError("the registry does not answer")
        return None if Shelf.number is None else SimpleNamespace(number=Shelf.number, run_id=Shelf.run_id)

    def has_version(self, number: int, content_hash: str | None) -> bool:
        return number not in Shelf.lost and content_hash in {None, Shelf.model.content_hash}

    def load(self, number: int) -> Any:
        if number in Shelf.broken:
            raise FingerprintMismatchError("other indicators")
        return Shelf.model


def worker(bank: Bank, folder: Path) -> ChampionWatcher:
    """What a worker that has just been started looks at the registry with."""
    settings = Settings(folder)
    settings.registry.touch()
    return ChampionWatcher(bank.engine, settings, lambda: bank.now)


def swap(bank: Bank, version: int) -> None:
    """Note that a version serves, as a promotion does."""
    with Session(bank.engine) as session, session.begin():
        begin_champion(session, MODEL, version, bank.now)


def marked(bank: Bank) -> set[str]:
    """Tell who has a mark by which they are due."""
    return {name for name in (*NAMES, "still") if (bank.mark_of(name).due_us or bank.now + 1) <= bank.now}


def refreshing(bank: Bank) -> set[str]:
    of = (bank.context, "customer")
    return {name for name in (*NAMES, "still") if read_level(*of, name, Freshness.STORED).refreshing}


def due_in_list(bank: Bank) -> set[str]:
    found = list_current_levels(bank.context, "customer")
    return {line.external_id for line in found if line.due_us is not None and line.due_us <= bank.now}


def superseded(bank: Bank, name: str) -> set[int | None]:
    """Read one customer's value in every way that there is; all say the same of which version serves instead."""
    of = (bank.context, "customer")
    value, alone = (read(*of, name, valuer=bank.valuer) for read in (read_value, read_value_alone))
    exported = export_customer(*of, name, by="ana", form="json").value
    assert value is not None
    assert alone is not None
    assert exported is not None
    lists: list[Any] = [
        *list_current_levels(*of),
        *list_values(*of),
        *search_values(*of, name),
        *search_entities(*of, Search(text=name)),
    ]
    found = {line.superseded_by for line in lists if line.external_id == name}
    return {value.superseded_by, alone.superseded_by, exported.superseded_by, *found}


def versions(bank: Bank, *names: str) -> dict[str, int]:
    """Give which version gave each one's latest value."""
    with Session(bank.engine) as session:
        rows = session.scalars(select(ValueScore).order_by(ValueScore.as_of_us))
        latest = {row.entity_id: row.model_version for row in rows}
    return {name: latest[bank.id_of(name)] for name in names or NAMES}


VALUED = {"input": {"value": "score"}, "cases": [{"when": {"at_least": 1}, "points": 40}], "on_unknown": {"points": 70}}


def look_at(champion: ChampionWatcher, shelf: type[Shelf], of: tuple[int, ValueModel]) -> None:
    """Let a worker look at a registry of its own, whose champion is this version."""
    shelf.number, shelf.model = of
    while champion.look():
        pass
