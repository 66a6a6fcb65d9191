"""Samples: seeded, of entities, whatever the order of rows."""

import polars as pl
import pytest

from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.backtest.sample import draw
from tests.risk.governance.making import AS_OF, DAY, portfolio


def names(found: pl.DataFrame) -> list[str]:
    return found["entity_id"].to_list()


def test_equal_seeds_draw_the_same_entities_in_any_order() -> None:
    people = portfolio([{}] * 100)
    turned = portfolio(people.entities.reverse().to_dicts())
    first = draw(people, AS_OF, 10, 7)
    assert (first.entities, first.size, len(first.portfolio.entities)) == (100, 10, 10)
    assert sorted(names(draw(turned, AS_OF, 10, 7).portfolio.entities)) == sorted(names(first.portfolio.entities))
    assert names(draw(people, AS_OF, 10, 8).portfolio.entities) != names(first.portfolio.entities)


def test_everyone_is_as_likely() -> None:
    people = portfolio([{}] * 10)
    counts = dict.fromkeys(names(people.entities), 0)
    for seed in range(400):
        for name in names(draw(people, AS_OF, 3, seed).portfolio.entities):
            counts[name] += 1
    assert all(85 <= count <= 155 for count in counts.values())


def test_all_are_taken_where_there_are_no_more() -> None:
    people = portfolio([{}] * 5)
    assert draw(people, AS_OF, 9, 0).size == 5
    assert draw(people, AS_OF, None, 0).portfolio is people


def test_all_rows_of_an_entity_and_its_moments_come_along() -> None:
    rows = [{"entity_id": f"e{number % 6}"} for number in range(12)]
    moments = pl.Series([AS_OF + number % 6 * DAY for number in range(12)])
    for linked in ("entity_id", "user_id"):
        transactions = pl.DataFrame({linked: [f"e{number}" for number in range(6)]})
        found = draw(portfolio(rows, transactions=transactions.lazy()), moments, 2, 1)
        assert len(found.portfolio.entities) == 4
        assert isinstance(found.as_of, pl.Series)
        assert found.as_of.n_unique() == 2
        assert found.portfolio.transactions is not None
        kept = found.portfolio.transactions.lazy().collect()[linked]
        assert set(kept) == set(names(found.portfolio.entities))


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match="a sample of 0 entities"):
        draw(portfolio([{}]), AS_OF, 0, 0)
    with pytest.raises(ConfigError, match="no entities"):
        draw(portfolio([{}]).__class__(pl.DataFrame({"entity_id": []}), portfolio([{}]).rates), AS_OF, None, 0)
