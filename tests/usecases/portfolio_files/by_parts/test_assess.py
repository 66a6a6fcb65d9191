"""A portfolio worked on part by part: the numbers, the words and the warnings of one process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, FivefoldError
from fivefold.usecases.portfolio_files.assess import Assessed, assess_files, explain_entity
from fivefold.usecases.portfolio_files.bundled import load_ruleset
from fivefold.usecases.portfolio_files.by_parts import portfolio as by_portfolio
from fivefold.usecases.portfolio_files.by_parts import rows as by_rows
from fivefold.usecases.portfolio_files.by_parts.assess import AssessmentByParts, AssessmentOutputs
from fivefold.usecases.portfolio_files.by_parts.portfolio import RulesetText
from fivefold.usecases.portfolio_files.columns import PortfolioColumns
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles
from tests.depth import some
from tests.features.spark.split_engine import SplitEngine
from tests.usecases.portfolio_files.by_parts.conftest import AS_OF, COMPANIES, LINKED, World


def sources(world: World, names: Sequence[str]) -> list[str]:
    return [str(world.folder / f"{name}.yaml") if name in {"people", "companies"} else name for name in names]


def everything(assessed: Assessed) -> dict[str, Any]:
    return {
        "without": assessed.without_level(),
        "lines": list(assessed.breakdown_lines()),
        "first": assessed.failures(2).rows(),
        "failures": assessed.failures().rows(),
    }


def assert_same(
    world: World, names: Sequence[str], size: int, *, mapped: Sequence[str] = (), as_of: int = AS_OF, **more: Any
) -> Assessed:
    """Assess in one process and by parts, and compare all that can be seen of it."""
    levels = {name: more.pop(name) for name in ("previous", "overrides") if name in more}
    files = world.files(**more, names=PortfolioColumns(mapped))
    alone = assess_files([load_ruleset(each) for each in sources(world, names)], files, as_of, **levels)
    expected, world.warnings[:] = list(world.warnings), []
    split = split_of(world, names, world.files(**more, names=PortfolioColumns(mapped)), as_of, **levels)
    assessed = split.on(SplitEngine(world.folder / "shared"), AssessmentOutputs(breakdowns=True, failures=None), size)
    assert world.warnings == expected
    assert_frame_equal(assessed.table(), alone.table(), check_exact=True)
    assert everything(assessed) == everything(alone)
    return alone


def assert_explained(world: World, names: Sequence[str], **more: Any) -> None:
    """Explain some entities in one process, and each by itself where the rest is by parts."""
    alone = assess_files([load_ruleset(each) for each in sources(world, names)], world.files(**more), AS_OF)
    expected = list(world.warnings)
    for entity in alone.entities["entity_id"][::20]:
        world.warnings.clear()
        split = split_of(world, names, world.files(**more))
        assert split.explain(SplitEngine(world.folder / "shared"), split.entity_rows(entity)) == explain_entity(
            alone, entity
        )
        assert world.warnings == expected


def split_of(
    world: World, names: Sequence[str], files: PortfolioFiles, as_of: int = AS_OF, **levels: Path
) -> AssessmentByParts:
    texts = [RulesetText.read(each) for each in sources(world, names)]
    return AssessmentByParts.read(texts, files, as_of, **levels)


def refusals(world: World, **more: Any) -> tuple[str, str]:
    """Give the words of one process, and of parts, with which both refuse."""
    with pytest.raises(FivefoldError) as alone:
        assess_files([load_ruleset(each) for each in sources(world, ["people"])], world.files(**more), AS_OF)
    with pytest.raises(FivefoldError) as split:
        split_of(world, ["people"], world.files(**more))
    return str(alone.value), str(split.value)


@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
@pytest.mark.parametrize("names", [("people",), ("people", "companies"), ("eu-bank-weighted",)])
def test_levels_words_and_warnings_are_those_of_one_process(
    names: tuple[str, ...], size: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 333)
    found = assert_same(world, names, size)
    assert found.without_level().keys() >= {"failed"}
    counted = "transactions.parquet (exact repeats counted once) are of no entity"
    assert any("rows of" in each and counted in each for each in world.warnings)


def test_transactions_that_end_long_before_are_warned_of_as_in_one_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.usecases.portfolio_files.portfolio.FEWEST_ROWS", 1)
    assert_same(world, ("people",), 7, as_of=AS_OF + 90 * DAY_US)
    assert any("days older than the as-of" in each for each in world.warnings)


def test_one_entity_is_explained_by_itself(world: World) -> None:
    assert_explained(world, ["people", "companies"])


def test_who_was_not_read_cannot_be_explained(world: World) -> None:
    alone = assess_files([load_ruleset(each) for each in sources(world, ["people"])], world.files(), AS_OF)
    with pytest.raises(ConfigError, match="there is no entity zoe among the ") as expected:
        explain_entity(alone, "zoe")
    with pytest.raises(ConfigError) as unknown:
        split_of(world, ["people"], world.files()).entity_rows("zoe")
    assert str(unknown.value) == str(expected.value)


def test_cooldowns_overrides_and_who_decided_go_with_their_entities(world: World) -> None:
    names = ["people", "companies"]
    before = assert_same(world, names, 7, as_of=AS_OF - 10 * DAY_US).table()
    levels, overrides = world.folder / "levels.parquet", world.folder / "overrides.csv"
    before.with_columns(rules_level=pl.col("rules_level").replace("low", "high")).write_parquet(levels)
    someone = before.drop_nulls("level")["entity_id"]
    overrides.write_text(f"entity_id,level,until\n{someone[0]},high,2025-01-01\nnobody,low,\n{someone[1]},low,\n")
    world.warnings.clear()
    found = assert_same(world, names, 3, previous=levels, overrides=overrides).table()
    assert found["overridden"].any()
    assert found["withheld_level"].drop_nulls().len() > 3
    assert f"1 of the 3 rows of {overrides} are of no entity that was read, such as 'nobody'" in world.warnings[-1]


@pytest.mark.parametrize("size", some([4, 1, 1000], 3))
def test_repeats_are_found_across_slices_and_contradictions_fail_their_entity(
    size: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 100)

    entities = pl.read_parquet(world.folder / "entities.parquet")
    people = entities.filter(kind="person")["entity_id"].to_list()

    def repeat(rows: pl.DataFrame) -> pl.DataFrame:
        recent = pl.col("transaction_date").is_between(pl.date(2024, 11, 1), pl.date(2024, 11, 30))
        other = rows.filter(recent, pl.col("user_id").is_in(people)).head(3).with_columns(transaction_amount=7.5)
        nameless = rows.head(4).with_columns(user_id=pl.lit(None, pl.String))
        return pl.concat([rows, rows.head(20), other, nameless, nameless.with_columns(user_id=pl.lit("")), nameless])

    world.change("transactions", repeat)
    found = assert_same(world, ["people"], size)
    assert found.failures().filter(pl.col("problem").str.contains("transaction_id")).height
    assert any("have no entity_id" in each for each in world.warnings)


def test_columns_keep_their_names_and_types(world: World) -> None:
    """Spark's own types would lose nanoseconds, categories and small numbers."""

    def typed(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.rename({"user_id": "who", "operation": "what"}).with_columns(
            pl.col("transaction_date").cast(pl.Datetime("ns")) + pl.duration(nanoseconds=1),
            pl.col("what").cast(pl.Categorical),
            pl.col("transaction_state").cast(pl.Enum(["X", *rows["transaction_state"].unique().drop_nulls()])),
            pl.col("transaction_amount").cast(pl.Decimal(18, 2)),
        )

    world.change("transactions", typed)
    mapped = ["transactions.who=user_id", "what=operation"]
    assert_same(world, ["people"], 5, mapped=mapped)


def test_rows_may_be_in_a_folder_of_files(world: World) -> None:
    rows = pl.read_parquet(world.folder / "transactions.parquet")
    (world.folder / "transactions.parquet").unlink()
    (world.folder / "transactions.parquet").mkdir()
    for number in (1, 0):
        rows[number * 1000 : number * 1000 + 1000].write_parquet(
            world.folder / f"transactions.parquet/{number}.parquet"
        )
    assert_same(world, ["people"], 9)


@pytest.mark.parametrize("rows", [90, 4000])
def test_rows_of_others_are_spread(rows: int, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few entities of a large file of everyone's transactions are one part, which need not hold all the rows."""
    monkeypatch.setattr(by_rows, "ROWS_A_PART", rows)
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 250)
    held: list[int] = []
    read = by_portfolio.read_pieces

    def counted(*what: Any) -> Any:
        held.append(len(read(*what).rows))
        return read(*what)

    monkeypatch.setattr(by_portfolio, "read_pieces", counted)
    world.change("entities", lambda entities: entities.head(3))
    assert_same(world, ["people"], 5)
    assert sum(held) == len(pl.read_parquet(world.folder / "transactions.parquet"))
    assert (len(held) > 10) == (rows == 90)


def test_identifiers_may_be_numbers(world: World) -> None:
    numbers = pl.read_parquet(world.folder / "entities.parquet")["entity_id"]
    number = {name: place for place, name in enumerate(numbers)}
    for name in ("entities", *LINKED):
        column = "user_id" if name == "transactions" else "entity_id"
        world.change(name, lambda rows, of=column: rows.with_columns(pl.col(of).replace_strict(number, default=None)))
    assert_same(world, ["people"], 5)


def test_of_several_rows_of_an_entity_the_latest_holds(world: World) -> None:
    def again(rows: pl.DataFrame) -> pl.DataFrame:
        first = rows.with_columns(known_at=pl.lit("2024-01-01"))
        later = first.sample(fraction=0.5, seed=1).with_columns(known_at=pl.lit("2024-06-01"), country=pl.lit("IR"))
        return pl.concat([first, later])

    once = len(pl.read_parquet(world.folder / "entities.parquet"))
    world.change("entities", again)
    for names in (["people"], ["people", "companies"]):
        table = assert_same(world, names, 5).table()
        assert (len(table), table["entity_id"].n_unique()) == (once, once)
        world.warnings.clear()


@pytest.mark.parametrize("who", ["nobody", "strangers"])
def test_rows_of_nobody_are_warned_of(who: str, world: World) -> None:
    if who == "nobody":
        world.change("transactions", lambda rows: rows.clear())
    else:
        world.change("transactions", lambda rows: rows.with_columns(pl.col("user_id") + "-else"))
    assert_same(world, ["people"], 6)
    assert any(each.startswith("none of the ") for each in world.warnings) == (who == "strangers")


def test_a_portfolio_of_nobody_is_told(world: World) -> None:
    world.change("entities", lambda rows: rows.clear())
    for names in (["people"], ["people", "companies"]):
        assert len(assert_same(world, names, 6).table()) == 0
        assert "there is no one to assess" in world.warnings[0]
        world.warnings.clear()


@pytest.mark.parametrize("lacks", ["transaction_amount", "operation", "user_id"])
def test_a_column_that_lacks_is_named_before_workers_start(lacks: str, world: World) -> None:
    world.change("transactions", lambda rows: rows.drop(lacks))
    alone, split = refusals(world)
    assert alone == split
    assert lacks in alone


def test_other_refusals_are_those_of_one_process(world: World) -> None:
    for more in ({"lists": {}}, {"names": PortfolioColumns(["transactions.x=y"])}, {"base": "euro"}):
        alone, split = refusals(world, **more)
        assert alone == split
    entities = pl.read_parquet(world.folder / "entities.parquet")
    pl.concat([entities, entities.slice(30, 1)]).write_parquet(world.folder / "entities.parquet")
    alone, split = refusals(world)
    assert alone == split


def test_a_ruleset_that_lacks_a_list_is_refused_by_the_worker_that_first_reads_it(world: World) -> None:
    """Of several rulesets those after the first are asked only where someone is left for them."""
    path = world.folder / "companies.yaml"
    path.write_text(COMPANIES.replace("fatf-call-for-action", "own-list"))
    names = ["people", "companies"]
    with pytest.raises(FivefoldError) as alone:
        assess_files([load_ruleset(each) for each in sources(world, names)], world.files(), AS_OF)
    split = split_of(world, names, world.files())
    with pytest.raises(FivefoldError) as by_worker:
        split.on(SplitEngine(world.folder / "shared"), AssessmentOutputs(breakdowns=False, failures=20), 7)
    assert str(by_worker.value) == str(alone.value)


def test_rows_that_go_meanwhile_are_an_error(world: World) -> None:
    file = world.folder / "transactions.parquet"
    split = split_of(world, ["people"], world.files())

    class Shrinks(SplitEngine):
        def run_each(self, files_of_slices: Any, work: Any) -> Any:
            pl.read_parquet(file)[:-1].write_parquet(file)
            return super().run_each(files_of_slices, work)

    with pytest.raises(FivefoldError, match="was changed while it was read"):
        split.on(Shrinks(world.folder / "shared"), AssessmentOutputs(breakdowns=False, failures=20))


def test_rows_that_come_meanwhile_are_an_error(world: World) -> None:
    """A folder that grows: what slices count on moves, and no slice is short."""
    files = world.folder / "transactions.parquet"
    rows = pl.read_parquet(files)
    files.unlink()
    files.mkdir()
    for number, part in enumerate((rows[:300], rows[300:])):
        part.write_parquet(files / f"{number}.parquet")
    split = split_of(world, ["people"], world.files())

    class Grows(SplitEngine):
        def run_each(self, files_of_slices: Any, work: Any) -> Any:
            yield from super().run_each(files_of_slices, work)
            rows[:350].write_parquet(files / "0.parquet")

    with pytest.raises(FivefoldError, match="was changed while it was read"):
        split.on(Grows(world.folder / "shared"), AssessmentOutputs(breakdowns=False, failures=20))


def test_failures_are_those_of_the_first_entities_of_each_ruleset(world: World) -> None:
    names = ["people", "companies"]
    alone = assess_files([load_ruleset(each) for each in sources(world, names)], world.files(), AS_OF)
    split = split_of(world, names, world.files())
    few = split.on(SplitEngine(world.folder / "shared"), AssessmentOutputs(breakdowns=False, failures=2), 7)
    assert few.failures(2).rows() == alone.failures(2).rows()
    assert list(few.breakdown_lines()) == []
