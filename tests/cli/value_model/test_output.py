"""Writing scores batch by batch: readable at the end, and not there before."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fivefold.cli.value_model.output import open_output
from fivefold.domain.errors import ConfigError

BATCHES = [
    pl.DataFrame({"user_id": ['a,"b"', "line\nbreak"], "score": [1.1, 2.0000000000000004], "category": ["low", None]}),
    pl.DataFrame(schema={"user_id": pl.String, "score": pl.Float64, "category": pl.String}),
    pl.DataFrame({"user_id": ["ü → 漢"], "score": [5.0], "category": ["top"]}),
]
READERS = {
    "a.parquet": pl.read_parquet,
    "a.csv": pl.read_csv,
    "a.json": pl.read_json,
    "a.jsonl": pl.read_ndjson,
    "a.NDJSON": pl.read_ndjson,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_batches_are_joined(name: str, order: tuple[int, ...], tmp_path: Path) -> None:
    with open_output(tmp_path / name) as write:
        for number in order:
            write(BATCHES[number])
        assert not (tmp_path / name).exists()
    assert_frame_equal(READERS[name](tmp_path / name), pl.concat([BATCHES[number] for number in order]))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", READERS)
def test_an_error_leaves_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_output(tmp_path / name) as write:  # noqa: PT012 (the batch before it counts)
        write(BATCHES[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.csv.gz"])
def test_a_suffix_that_is_not_written_is_named(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"it must end in \.parquet, \.csv, \.json, \.jsonl, \.ndjson$"),
        open_output(tmp_path / name),
    ):
        pass


def test_a_spreadsheet_runs_nothing_of_a_csv(tmp_path: Path) -> None:
    names = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
        "-5.2",
        "+49",
        "1e-3",
        "plain",
        None,
    ]
    table = pl.DataFrame({"name": names, "amount": [-1.5] * len(names)})
    with open_output(tmp_path / "out.csv") as write:
        write(table)
    read = pl.read_csv(tmp_path / "out.csv", schema_overrides={"name": pl.String})
    assert read["name"].to_list() == [f"'{name}" for name in names[:11] if name] + names[11:]
    assert read["amount"].to_list() == [-1.5] * len(names)
    with open_output(tmp_path / "out.parquet") as write:
        write(table)
    assert pl.read_parquet(tmp_path / "out.parquet")["name"].to_list() == names
