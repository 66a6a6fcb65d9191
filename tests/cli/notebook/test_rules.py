"""Rulesets in a notebook: what the commands give, from files and from data frames."""

import json
from dataclasses import fields
from datetime import date
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import fivefold
from fivefold.cli.rules.assess import print_assessment
from fivefold.cli.rules.governance import StandingOptions
from fivefold.cli.rules.options import PartOptions, ValueOptions
from fivefold.domain.errors import ConfigError, FileFormatError, InvalidRulesetError
from fivefold.notebook.rules import PortfolioParts
from fivefold.notebook.transactions import Frame
from fivefold.risk.governance.backtest.families import FamiliesBacktest
from tests.cli.rules.test_assess import ENTITIES, ROWS, RULES
from tests.cli.rules_files import made, write_files
from tests.cli.running import run

AS_OF = "2024-07-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, RULES, ENTITIES, ROWS)


def test_levels_are_those_of_the_command_whatever_form_the_parts_have(folder: Path) -> None:
    command = ("rules", "assess", folder / "rules.yaml", folder / "entities.csv", "--transactions", folder / "rows.csv")
    run(folder, *command, "--as-of", AS_OF, "--output", folder / "levels.parquet")
    by_command = pl.read_parquet(folder / "levels.parquet")
    entities, rows = pl.read_csv(folder / "entities.csv"), pl.read_csv(folder / "rows.csv")
    forms = (
        (folder / "entities.csv", folder / "rows.csv"),
        (entities, rows),
        (entities.to_pandas(), rows.to_arrow()),
        (entities.to_pandas().set_index("entity_id"), rows.to_pandas()),
    )
    for whom, what in forms:
        levels = fivefold.assess(folder / "rules.yaml", whom, transactions=what, as_of=AS_OF)
        assert levels.table()["level"].fillna("none").to_list() == by_command["level"].fill_null("none").to_list()
        assert levels.table()["score"].equals(by_command.to_pandas().set_index("entity_id")["score"])


def test_the_calls_take_whatever_the_commands_take() -> None:
    called = {"references": "reference", "names": "columns"}
    beside = {called.get(each.name, each.name) for options in (PartOptions, ValueOptions) for each in fields(options)}
    assert beside == set(PortfolioParts.__annotations__)
    screen = {"path", "entity", "output", "breakdowns", "failures", "parts", "value", "engine"}
    assert set(signature(print_assessment).parameters) - screen <= set(signature(fivefold.assess).parameters)
    assert {each.name for each in fields(StandingOptions)} <= set(signature(fivefold.backtest).parameters)


def test_levels_of_before_are_kept_as_by_the_command(folder: Path) -> None:
    rows, held = folder / "rows.csv", folder / "held.csv"
    held.write_text("entity_id,rules_level,entered\na,high,2024-06-24\n")
    command = ("rules", "assess", folder / "rules.yaml", folder / "entities.csv", "--transactions", rows)
    run(folder, *command, "--previous", held, "--as-of", AS_OF, "--output", folder / "levels.parquet")
    by_command = pl.read_parquet(folder / "levels.parquet").row(0, named=True)
    assert (by_command["level"], by_command["withheld_level"]) == ("high", "medium")
    for previous in (held, str(held), pd.read_csv(held), pl.read_csv(held)):
        levels = fivefold.assess(
            folder / "rules.yaml", folder / "entities.csv", transactions=rows, previous=previous, as_of=AS_OF
        )
        assert levels.table().loc["a", ["level", "withheld_level"]].tolist() == ["high", "medium"]
        assert "held at High" in levels.explain("a").line
    later = fivefold.assess(
        folder / "rules.yaml", folder / "entities.csv", transactions=rows, previous=levels.table(), as_of="2024-07-20"
    )
    assert later.table().loc["a", "level"] == "high"
    held.write_text("entity_id,rules_level,entered\nz,high,2024-06-24\n")
    with pytest.warns(UserWarning, match="1 of the 1 rows of the table of previous|none of the 1 rows of the table of"):
        fivefold.assess(
            folder / "rules.yaml", folder / "entities.csv", transactions=rows, previous=pd.read_csv(held), as_of=AS_OF
        )
    with pytest.raises(
        ConfigError, match=r"^the table of previous has no column rules_level, entered; it has entity_id"
    ):
        fivefold.assess(
            folder / "rules.yaml", folder / "entities.csv", transactions=rows, as_of=AS_OF,
            previous=pd.DataFrame({"entity_id": ["a"]}),
        )  # fmt: skip


def test_overrides_more_rulesets_own_rates_and_references_do_what_they_do_in_the_command(folder: Path) -> None:
    entities, rows = folder / "entities.csv", pd.read_csv(folder / "rows.csv")
    (folder / "companies.yaml").write_text(
        RULES.replace("tiny", "companies").replace("equals: person", "equals: company")
    )
    by_hand = pd.DataFrame({"entity_id": ["a"], "level": ["high"], "until": [None]})
    more = {"then": folder / "companies.yaml", "overrides": by_hand}
    levels = fivefold.assess(folder / "rules.yaml", entities, transactions=rows, as_of=AS_OF, **more).table()
    assert levels.loc[["a", "c"], ["level", "ruleset"]].to_numpy().tolist() == [["high", "tiny"], ["low", "companies"]]
    rows["transaction_currency"] = "KPW"
    (folder / "rates.csv").write_text("currency,date,rate\nKPW,2024-01-02,1\n")
    own = fivefold.assess(folder / "rules.yaml", entities, transactions=rows, as_of=AS_OF, rates=folder / "rates.csv")
    assert own.table().loc["a", ["level", "status"]].tolist() == ["medium", "assessed"]
    with pytest.raises(ConfigError, match=r"peers\.json cannot be read: No such file"):
        fivefold.assess(folder / "rules.yaml", entities, transactions=rows, reference=[folder / "peers.json"])


def test_what_is_no_path_is_refused_by_the_name_of_its_parameter(folder: Path) -> None:
    of = {"transactions": folder / "rows.csv", "as_of": AS_OF}
    assert len(fivefold.assess(folder / "rules.yaml", folder / "entities.csv", then=None, reference=None, **of)) == 4
    for parameter in ("then", "rates", "lists", "reference"):
        with pytest.raises(ConfigError, match=f"^{parameter} must be a path or a name, .* this is pandas.DataFrame$"):
            fivefold.assess(
                folder / "rules.yaml", folder / "entities.csv", **{**of, parameter: pd.DataFrame({"entity_id": ["a"]})}
            )
    with pytest.raises(ConfigError, match=r"^rates must be one path; there are 2$"):
        fivefold.assess(folder / "rules.yaml", folder / "entities.csv", rates=["a.csv", "b.csv"], **of)
    with pytest.raises(ConfigError, match=r"^present must be .* this is int$"):
        fivefold.backtest(folder / "rules.yaml", folder / "entities.csv", present=1, first=None, **of)
    several: Any = [folder / "rules.yaml", folder / "rules.yaml"]
    for parameter, sources in (("ruleset", None), ("draft", several), ("present", several)):
        call: Any = fivefold.assess if parameter == "ruleset" else fivefold.backtest
        rulesets = {"draft" if call == fivefold.backtest else "ruleset": folder / "rules.yaml", parameter: sources}
        with pytest.raises(ConfigError, match=rf"^{parameter} must be one ruleset, a path or the name of one that "):
            call(entities=folder / "entities.csv", **rulesets, **of)


def test_an_entity_of_whole_numbers_is_explained_by_its_number(folder: Path) -> None:
    people = pd.DataFrame({"entity_id": [5, 6], "kind": "person", "country": ["IR", "DE"], "age": 30})
    rows = pd.DataFrame({"user_id": [5], "transaction_amount": [1.0], "transaction_currency": ["EUR"]})
    rows = rows.assign(transaction_date="2024-06-20", operation="cash")
    levels = fivefold.assess(folder / "rules.yaml", people, transactions=rows, as_of=AS_OF)
    assert levels.explain(5).entity == levels.explain("5").entity == "5"


@pytest.mark.parametrize(
    ("part", "columns"),
    [
        ("tags", ("entity_id", "tag")),
        ("cases", ("entity_id", "opened", "closed", "outcome")),
        ("screenings", ("entity_id", "screening", "found")),
        ("links", ("type", "from", "to")),
        ("previous", ("entity_id", "rules_level", "entered")),
        ("overrides", ("entity_id", "level", "until")),
        ("transactions", ("user_id", "transaction_date", "transaction_amount", "transaction_currency", "operation")),
    ],
)
def test_a_table_without_rows_says_that_there_are_none(folder: Path, part: str, columns: tuple[str, ...]) -> None:
    nothing = pd.DataFrame({column: [] for column in columns})
    of = {"transactions": folder / "rows.csv", "as_of": AS_OF}
    for table in (nothing, pl.from_pandas(nothing), pa.Table.from_pandas(nothing)):
        levels = fivefold.assess(folder / "rules.yaml", folder / "entities.csv", **{**of, part: table})
        assert len(levels) == 4


def test_errors_name_parameters_and_not_options_of_the_command(folder: Path) -> None:
    rules, entities, rows = (folder / name for name in ("rules.yaml", "entities.csv", "rows.csv"))
    held = pd.DataFrame({"entity_id": ["a"], "rules_level": ["high"], "entered": ["2025-01-01"]})
    of = {"transactions": rows, "as_of": AS_OF}
    with pytest.raises(ConfigError, match=r"^previous and entered both say"):
        fivefold.backtest(rules, entities, present=rules, previous=held, entered="2024-06-20", **of)
    with pytest.raises(ConfigError, match=r"^entered must not be after as_of$"):
        fivefold.backtest(rules, entities, present=rules, entered="2024-09-01", **of)
    with pytest.raises(ConfigError, match=r"^entered is 'soon'"):
        fivefold.backtest(rules, entities, present=rules, entered="soon", **of)
    with pytest.raises(ConfigError, match=r"which is after as_of, 2024-07-01$"):
        fivefold.assess(rules, entities, previous=held, **of)
    with pytest.raises(ConfigError, match=r"^columns={'x': 'y'}: no file has a column x$"):
        fivefold.assess(rules, entities, columns={"x": "y"}, **of)
    renamed = pd.read_csv(rows).rename(columns={"operation": "operatoin"})
    with pytest.raises(InvalidRulesetError, match=r"perhaps operatoin is meant: columns={'operatoin': 'operation'}$"):
        fivefold.assess(rules, entities, transactions=renamed, as_of=AS_OF)
    with pytest.raises(ConfigError, match=r"^base is 'euro'"):
        fivefold.assess(rules, entities, base="euro", **of)


def test_a_level_is_explained_and_a_failure_is_listed(folder: Path) -> None:
    rows = pd.read_csv(folder / "rows.csv")
    with pytest.raises(InvalidRulesetError, match="transactions: are read"):
        fivefold.assess(folder / "rules.yaml", folder / "entities.csv", as_of=AS_OF)
    with pytest.warns(UserWarning, match="none of the 3 rows"):
        fivefold.assess(folder / "rules.yaml", pd.DataFrame({"entity_id": ["z"], "kind": ["person"], "country": ["DE"],
                                                             "age": [3]}), transactions=rows, as_of=AS_OF)  # fmt: skip
    levels = fivefold.assess(folder / "rules.yaml", folder / "entities.csv", transactions=rows, as_of=AS_OF)
    assert len(levels) == 4
    assert levels.explain("b").level == "high"
    assert "Country" in levels.explain("b")._repr_html_()
    assert "4 assessed" in levels._repr_html_()
    assert repr(levels).startswith("<4 assessed: ")
    names = levels.assessed.parts[0].program.ruleset.levels
    counts = levels.table()["level"].fillna("no level").to_list()
    assert [*levels.counts().items()] == [(name, counts.count(name)) for name in (*names, "no level")]
    assert len(repr(levels)) < 100
    assert levels.failures()["entity_id"].to_list() == ["d"]
    with pytest.raises(ConfigError, match="there is no entity z among the 4"):
        levels.explain("z")


def test_a_bundled_ruleset_a_wrong_one_and_names_of_columns(folder: Path) -> None:
    people = pd.DataFrame({"id": ["a"], "verdict": ["declined"], "vpn": [True]})
    fields = ("document_country", "document_type", "document_expired", "liveness", "face_match", "age", "attempts",
              "disposable_email", "phone_verified")  # fmt: skip
    people[list(fields)] = None
    screenings = pd.DataFrame({"entity_id": ["a"], "screening": ["sanctions"], "found": [False]})
    names = {"id": "entity_id"}
    levels = fivefold.assess("session-verification", people, screenings=screenings, as_of=AS_OF, columns=names)
    assert levels.table().loc["a", "level"] == "high"
    (folder / "bad.yaml").write_text(RULES.replace("points: 60", "pionts: 60"))
    with pytest.raises(InvalidRulesetError, match="pionts"):
        fivefold.assess(folder / "bad.yaml", people)
    with pytest.raises(ConfigError, match="no-such"):
        fivefold.assess("no-such", people)


def test_what_is_wrong_with_a_table_is_said_of_its_part_and_not_of_a_file(folder: Path) -> None:
    people = pd.DataFrame({"id": ["a"], "country": ["AT"]})
    with pytest.raises(FileFormatError, match=r"^the table of entities has no column entity_id .*; it has id, country"):
        fivefold.assess(folder / "rules.yaml", people)
    with pytest.raises(ConfigError, match=r"the table of entities must be a file, .*; this is polars.LazyFrame"):
        fivefold.assess(folder / "rules.yaml", pl.from_pandas(people).lazy())  # type: ignore[arg-type]  # refused


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            pd.DataFrame({"entity_id": ["a", "b"], "note": [1, "x"]}),
            "entities: column note cannot be read: ",
        ),
        (pd.DataFrame({"entity_id": ["a"], "note": [1j]}), "entities: column note cannot be read: "),
        (
            pd.DataFrame([["a", "b"]], columns=["entity_id", "entity_id"]),
            "entities has more than one column ",
        ),
        (pl.DataFrame({"entity_id": ["a"], "note": [object()]}), "entities: column note cannot be read: "),
        ([{"entity_id": "a", "note": 2**70}], "entities: column note cannot be read: "),
        (
            [
                {"entity_id": "a", "note": date(2024, 1, 1)},
                {"entity_id": "b", "note": pd.Timestamp("2024-01-01 17:00")},
            ],
            "entities: column note cannot be read: it has both dates and times; give times alone",
        ),
        (
            pa.table({"entity_id": ["a"], "note": pc.run_end_encode(pa.array([1]))}),
            "entities: column note cannot be read: ",
        ),
    ],
)
def test_a_column_that_no_file_can_hold_is_named(folder: Path, table: Frame, message: str) -> None:
    with pytest.raises(FileFormatError, match=f"^the table of {message}"):
        fivefold.assess(folder / "rules.yaml", table)


def test_rows_of_a_list_keep_every_name_every_number_and_what_is_unknown(folder: Path) -> None:
    row: dict[str, Any] = {"user_id": "a", "transaction_currency": "EUR", "transaction_date": "2024-06-20"}

    def of(transactions: Frame) -> str:
        levels = fivefold.assess(folder / "rules.yaml", folder / "entities.csv", transactions=transactions, as_of=AS_OF)
        return repr(levels.explain("a"))

    late = [*({**row, "transaction_amount": 1} for _ in range(120)), {**row, "transaction_amount": -100.30}]
    late[-1]["operation"] = "cash"
    assert of(late) == of(pd.DataFrame(late))
    people: list[dict[str, Any]] = [{"entity_id": "a", "kind": "person", "country": float("nan")}]
    people.append({**people[0], "entity_id": "b", "country": "DE", "age": pd.NA})
    levels = fivefold.assess(folder / "rules.yaml", people, transactions=folder / "rows.csv", as_of=AS_OF)
    assert levels.failures().empty
    assert levels.explain("a").rules[0].seen == "country is unknown"


def test_a_row_of_a_list_of_another_kind_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^row 1 of the table of entities must be a dict; this is str$"):
        fivefold.assess(folder / "rules.yaml", [{"entity_id": "a"}, "b"])  # type: ignore[list-item]  # refused


def test_a_part_that_there_is_not_is_named(folder: Path) -> None:
    with pytest.raises(
        TypeError, match="transaction does not name a part of a portfolio; perhaps transactions was meant"
    ):
        fivefold.assess(folder / "rules.yaml", folder / "entities.csv", as_of=AS_OF, transaction=folder / "rows.csv")


def test_a_warning_about_a_table_names_its_part(folder: Path) -> None:
    entities = pd.read_csv(folder / "entities.csv")
    entities.loc[3, "entity_id"] = None
    with pytest.warns(UserWarning, match="1 of the 4 entities of the table of entities have no entity_id"):
        fivefold.assess(folder / "rules.yaml", entities, transactions=folder / "rows.csv", as_of=AS_OF)
    with pytest.raises(ConfigError, match=r"columns is \['id'\]; it must be pairs"):
        fivefold.assess(folder / "rules.yaml", entities, columns=["id"])  # type: ignore[typeddict-item]  # refused


def test_a_draft_is_compared_with_what_decides(tmp_path: Path) -> None:
    folder = made(tmp_path)
    people = pd.read_parquet(folder / "people.parquet")
    trial = fivefold.backtest(folder / "draft.yaml", people, present=folder / "now.yaml", as_of=AS_OF)
    assert trial.levels().loc["low"].tolist() == [240, 300]
    moves = trial.moves()
    assert moves.to_numpy().sum() == len(people)
    order = [level for level in trial.levels().index if level in moves.columns]
    assert (moves.columns.tolist(), {kind.kind for kind in moves.dtypes}) == (order, {"i"})
    assert repr(trial).startswith("<a draft would come to: low 300, medium 60, ")
    assert (moves.sum(axis=1) == trial.levels()["present"].reindex(moves.index)).all()
    assert len(trial.movers())
    assert "What the numbers do not say" in trial._repr_html_()
    for wrong in ({"sample": 2.5}, {"sample": 0}, {"seed": None}):
        with pytest.raises(ConfigError, match=f"^{next(iter(wrong))} is .*, and has to be a whole number from [01]$"):
            fivefold.backtest(folder / "draft.yaml", people, as_of=AS_OF, **wrong)  # type: ignore[arg-type]  # what is refused
    alone = fivefold.backtest(folder / "draft.yaml", people, as_of=AS_OF, sample=50, seed=3)
    assert (alone.result.drawn, alone.moves().empty) == (50, True)
    assert alone.levels().columns.tolist() == ["draft"]


def test_a_draft_is_compared_where_levels_stand_and_beside_other_rulesets(tmp_path: Path) -> None:
    folder = made(tmp_path)
    draft, now, people = folder / "draft.yaml", folder / "now.yaml", pd.read_parquet(folder / "people.parquet")
    levels = pd.DataFrame({"entity_id": ["e0000"], "rules_level": ["critical"], "entered": ["2024-06-30"]})
    stood = fivefold.backtest(draft, people, previous=levels, as_of=AS_OF)
    assert stood.result.standing == "the levels that were given"
    assert stood.moves().to_numpy().sum() == len(people), "those of whom no level was given are counted too"
    since = fivefold.backtest(draft, people, present=now, entered="2024-06-20", as_of=AS_OF)
    assert since.result.later is not None
    with pytest.raises(ConfigError, match="give one of them"):
        fivefold.backtest(draft, people, present=now, previous=levels, entered="2024-06-20", as_of=AS_OF)
    (folder / "companies.yaml").write_text(now.read_text().replace("ruleset: retail", "ruleset: companies"))
    beside = fivefold.backtest(draft, people, present=now, then=[folder / "companies.yaml"], as_of=AS_OF)
    assert isinstance(beside.result, FamiliesBacktest)
    assert beside.moves().to_numpy().sum() == beside.levels()["present"].sum() == len(people)
    assert repr(beside).startswith("<a draft would come to: ")
    assert "What the numbers do not say" in beside._repr_html_()


@pytest.mark.parametrize("beside", [False, True])
def test_a_backtest_gives_what_the_command_gives_after_the_cooldown_too(tmp_path: Path, beside: bool) -> None:
    folder = made(tmp_path)
    draft, now, data = (folder / name for name in ("draft.yaml", "now.yaml", "people.parquet"))
    (folder / "companies.yaml").write_text(now.read_text().replace("ruleset: retail", "ruleset: companies"))
    held = folder / "held.csv"
    held.write_text("entity_id,rules_level,entered\n" + "".join(f"e{n:04},critical,2024-06-30\n" for n in range(600)))
    then = ("--then", folder / "companies.yaml") if beside else ()
    command = ("rules", "backtest", now, draft, "--data", data, "--as-of", AS_OF, "--previous", held, *then)
    assert run(folder, *command, "--json", folder / "by-command.json").code == 0
    by_command = json.loads((folder / "by-command.json").read_text())
    more = {"then": folder / "companies.yaml"} if beside else {}
    trial = fivefold.backtest(draft, data, present=now, previous=held, as_of=AS_OF, **more)
    for cells, moves in (
        (by_command["alone"], trial.moves()),
        (by_command["later"], trial.moves(after_cooldown=True)),
    ):
        assert {(cell["before"], cell["after"]): cell["entities"] for cell in cells} == {
            (before, after): moves.loc[before, after]
            for before in moves.index
            for after in moves.columns
            if moves.loc[before, after]
        }
    counts = trial.levels()
    order = [level for level in counts.index if not level.startswith("(")]
    assert order == [level for level in ("low", "medium", "high", "critical") if level in order]
    assert counts.columns.tolist() == ["present", "draft", "present after cooldown", "draft after cooldown"]
    assert counts["draft after cooldown"]["critical"] > counts["draft"]["critical"]
    assert repr(trial).startswith("<a draft would come to: low 300, ")
    assert f"; after the cooldown: critical {counts['draft after cooldown']['critical']}" in repr(trial)
    shown = trial._repr_html_()
    assert "From where to where, by the rules alone" in shown
    assert "From where to where, after the cooldown" in shown


def test_a_backtest_without_levels_that_stand_says_nothing_of_a_cooldown(tmp_path: Path) -> None:
    folder = made(tmp_path)
    trial = fivefold.backtest(
        folder / "draft.yaml", folder / "people.parquet", present=folder / "now.yaml", as_of=AS_OF
    )
    assert "cooldown:" not in repr(trial)
    assert trial.levels().columns.tolist() == ["present", "draft"]
    assert "after the cooldown" not in trial._repr_html_()
    with pytest.raises(ConfigError, match=r"^after_cooldown needs the levels that stand: give backtest previous or"):
        trial.moves(after_cooldown=True)
