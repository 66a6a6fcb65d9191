"""`fivefold rules assess`: files in, levels and breakdowns out."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.cli.rules_files import write_files
from tests.cli.running import Home, refuse, run, succeed

RULES = """
ruleset: tiny
entity_type: customer
fields: {kind: {one_of: [person, company]}, country: country, age: number}
transaction_fields: {operation: text}
applies_to: {field: kind, equals: person}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
cooldown: 30 days
rules:
  - id: country
    title: Country
    category: geography
    input: {field: country}
    cases: [{when: {in_list: fatf-call-for-action}, points: 60, floor: high}]
  - id: cash
    title: Cash
    category: transaction execution
    input: {sum: amount, where: {field: operation, equals: cash}, over: 30 days}
    cases: [{when: {at_least: 100.30}, points: 20}]
"""
ENTITIES = "entity_id,kind,country,age\na,person,DE,30\nb,person,IR,\nc,company,DE,\nd,person,Germany,\n"
ROWS = """user_id,transaction_amount,transaction_currency,transaction_date,operation
a,-100.10,EUR,2024-06-20,cash
a,-0.20,EUR,2024-07-01,cash
a,-900,EUR,2024-07-02,cash
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, RULES, ENTITIES, ROWS)


def asked(folder: Path, *more: str | Path, as_of: str = "2024-07-01") -> tuple[str | Path, ...]:
    files = (folder / "rules.yaml", folder / "entities.csv", "--transactions", folder / "rows.csv")
    return ("rules", "assess", *files, "--as-of", as_of, *more)


def test_levels_go_to_a_file_and_their_distribution_to_the_screen(folder: Path) -> None:
    done = run(folder, *asked(folder, "--output", folder / "levels.parquet"))
    assert done.code == 1  # one failed, and the others are written
    assert done.out.splitlines()[0] == "4 of type customer, as of 2024-07-01"
    assert "warning: 1 failed: d" in done.err
    assert "warning: 1 not applicable: c" in done.err
    assert "warning: d: country: " in done.err
    assert "Germany" in done.err
    table = pl.read_parquet(folder / "levels.parquet")
    assert table.select("entity_id", "level", "status", "score", "floor_by").rows() == [
        ("a", "medium", "assessed", 20.0, None),
        ("b", "high", "assessed", 60.0, "country"),
        ("c", None, "not applicable", None, None),
        ("d", None, "failed", 0.0, None),
    ]


def test_one_breakdown_names_every_rule_and_the_arithmetic(folder: Path) -> None:
    out = succeed(folder, *asked(folder, "--explain", "a"))
    assert "Score 20: Cash 20; Medium" in out
    assert "100.30 EUR" in out
    assert "Country" in out


def test_files_of_a_folder_that_differ_are_named_unless_nobody_reads_the_column(folder: Path) -> None:
    lake = folder / "lake"
    lake.mkdir()
    rows = pl.read_csv(folder / "rows.csv")
    rows.head(1).write_parquet(lake / "p0.parquet")
    rows.slice(1).with_columns(note=pl.lit("x")).write_parquet(lake / "p1.parquet")
    whole = succeed(folder, *asked(folder, "--explain", "a"))
    assert succeed(folder, *asked(folder, "--transactions", lake, "--explain", "a")) == whole
    rows.slice(1).drop("transaction_currency").write_parquet(lake / "p1.parquet")
    said = refuse(folder, *asked(folder, "--transactions", lake))
    assert said == f"{lake}/p1.parquet has no column transaction_currency, which {lake}/p0.parquet has"


def test_every_breakdown_can_be_written(folder: Path) -> None:
    run(folder, *asked(folder, "--breakdowns", folder / "why.jsonl"))
    lines = [json.loads(line) for line in (folder / "why.jsonl").read_text().splitlines()]
    assert [line["entity"] for line in lines] == ["a", "b", "c", "d"]
    assert lines[1]["line"] == "Score 60: Country 60; High"
    assert lines[0]["rules"][1]["points"] == "20"


def test_levels_held_before_keep_their_cooldown(folder: Path) -> None:
    run(folder, *asked(folder, "--output", folder / "before.csv"))
    (folder / "entities.csv").write_text(ENTITIES.replace("IR", "DE"))
    levels = folder / "after.parquet"
    run(folder, *asked(folder, "--previous", folder / "before.csv", "--output", levels, as_of="2024-07-30"))
    b = pl.read_parquet(levels).row(1, named=True)
    assert (b["level"], b["withheld_level"]) == ("high", "low")
    run(folder, *asked(folder, "--previous", folder / "before.csv", "--output", levels, as_of="2024-07-31"))
    assert pl.read_parquet(levels)["level"][1] == "low"


def test_held_levels_of_nobody_who_was_read_are_warned_of(folder: Path) -> None:
    before = folder / "before.csv"
    before.write_text("entity_id,rules_level,entered\nA,high,2024-06-30\nb,high,2024-06-30\n")
    done = run(folder, *asked(folder, "--previous", before, "--output", folder / "levels.parquet"))
    assert f"warning: 1 of the 2 rows of {before} are of no entity that was read, such as 'A'" in done.err


def test_an_override_holds_until_it_ends(folder: Path) -> None:
    (folder / "overrides.csv").write_text("entity_id,level,until\na,high,2024-08-01\n")
    out = succeed(folder, *asked(folder, "--overrides", folder / "overrides.csv", "--explain", "a"))
    assert "High by an override, Medium without it" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--explain", "nobody"), "there is no entity nobody among the 4 that were read"),
        (
            ("--explain", "a", "--output", "levels.csv", "--breakdowns", "why.jsonl"),
            "--explain shows one entity and writes no file: leave out --output and --breakdowns, or --explain",
        ),
        (("--tags", "gone.csv"), "there is no file gone.csv"),
        (("--previous", "rules.yaml"), "must end in .parquet, .csv"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(folder: Path, more: tuple[str, ...], message: str) -> None:
    assert message in refuse(folder, *asked(folder, *more))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entity_id,rules_level\na,low\n", "has no column entered"),
        ("entity_id,rules_level,entered\na,extreme,2024-01-01\n", "has the level extreme; there are low, medium, high"),
        ("entity_id,rules_level,entered\na,low,2024-01-01\na,low,2024-01-01\n", "has entity a more than once"),
        ("entity_id,rules_level,entered\n,low,2024-01-01\n", "has 1 row without entity_id"),
        ("entity_id,rules_level,entered\na,low,yesterday\n", "entered is 'yesterday'; it must be an ISO date or time"),
        ("entity_id,rules_level,entered\na,low,\n", "entity 'a' has a level without entered"),
        (
            "entity_id,rules_level,entered\na,low,2024-07-02\n",
            "entity a entered its level on 2024-07-02, which is after --as-of, 2024-07-01",
        ),
        (
            "entity_id,rules_level,entered,held_flor\na,low,2024-01-01,high\n",
            "has no column held_floor, and has held_flor: call it held_floor, or give it quite another name",
        ),
        (
            "entity_id,rules_level,entered,Ruleset\na,low,2024-01-01,people\n",
            "has no column ruleset, and has Ruleset: call it ruleset",
        ),
    ],
)
def test_a_file_of_levels_that_cannot_be_used_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "before.csv").write_text(text)
    assert message in refuse(folder, *asked(folder, "--previous", folder / "before.csv"))


def test_indicators_and_the_value_come_from_the_model_and_the_transactions(home: Home, tmp_path: Path) -> None:
    rules = RULES.split("rules:\n", maxsplit=1)[0].replace("transaction_fields: {operation: text}\n", "") + (
        "rules:\n"
        "  - {id: age, title: Age, category: other, input: {indicator: account_age},\n"
        "     cases: [{when: {above: 0}, points: 15}]}\n"
        "  - {id: worth, title: Worth, category: other, input: {value: segment},\n"
        "     cases: [{when: {in: [low, medium, high, top]}, points: 35}]}\n"
    )
    (tmp_path / "rules.yaml").write_text(rules)
    users = pl.read_parquet(home.rows)["user_id"].unique().sort().head(3)
    entities = pl.DataFrame({"entity_id": users, "kind": "person", "country": "DE", "age": 40})
    entities.write_parquet(tmp_path / "entities.parquet")
    files = (tmp_path / "rules.yaml", tmp_path / "entities.parquet", "--transactions", home.rows)
    done = run(home.var, "rules", "assess", *files, "--output", tmp_path / "levels.parquet")
    assert (done.code, "are of no entity that was read" in done.err) == (0, True)
    assert pl.read_parquet(tmp_path / "levels.parquet")["score"].to_list() == [50.0] * 3


@pytest.mark.parametrize("base", ["eur", "EURO", ""])
def test_a_base_that_is_no_currency_is_refused(folder: Path, base: str) -> None:
    assert "it must be three capital letters, ISO 4217" in refuse(folder, *asked(folder, "--base", base))


def test_a_row_without_a_balance_leaves_its_customer_all_but_the_value_and_one_line_says_so(
    home: Home, tmp_path: Path
) -> None:
    rules = RULES.split("rules:\n", maxsplit=1)[0].replace("transaction_fields: {operation: text}\n", "") + (
        "rules:\n"
        "  - {id: age, title: Age, category: other, input: {indicator: account_age},\n"
        "     cases: [{when: {above: 0}, points: 15}]}\n"
        "  - {id: worth, title: Worth, category: other, input: {value: segment},\n"
        "     cases: [{when: {in: [low, medium, high, top]}, points: 35}], on_unknown: {points: 5}}\n"
    )
    (tmp_path / "rules.yaml").write_text(rules)
    rows = pl.read_parquet(home.rows)
    users = rows["user_id"].unique().sort().head(3)
    one = (pl.col("user_id") == users[0]) & (pl.int_range(pl.len()).over("user_id") == 0)
    rows.with_columns(user_balance=pl.when(~one).then("user_balance")).write_parquet(tmp_path / "rows.parquet")
    entities = pl.DataFrame({"entity_id": users, "kind": "person", "country": "DE", "age": 40})
    entities.write_parquet(tmp_path / "entities.parquet")
    files = (tmp_path / "rules.yaml", tmp_path / "entities.parquet", "--transactions", tmp_path / "rows.parquet")
    done = run(home.var, "rules", "assess", *files, "--output", tmp_path / "levels.parquet")
    assert done.code == 0
    assert pl.read_parquet(tmp_path / "levels.parquet")["score"].to_list() == [20.0, 50.0, 50.0]
    said = " ".join(done.err.split())
    assert f"user_balance is missing in rows of 1 customer, such as that of '{users[0]}' at 20" in said
    assert "the value model reads it, and the value is unknown of them" in said


def test_who_could_not_be_assessed_is_written_with_the_reasons(folder: Path) -> None:
    assert run(folder, *asked(folder, "--failures", folder / "failures.csv")).code == 1
    failed = pl.read_csv(folder / "failures.csv")
    assert failed.select("entity_id", "rule").rows() == [("d", "country")]
    assert "Germany" in failed["problem"].item()


def test_a_failure_ends_with_1_and_nothing_else_does(folder: Path) -> None:
    assert run(folder, *asked(folder, "--explain", "d")).code == 1
    assert run(folder, *asked(folder, "--explain", "a")).code == 0
    entities = folder / "entities.csv"
    header, *lines = entities.read_text().splitlines()
    entities.write_text("\n".join([header, *(line for line in lines if "Germany" not in line)]))
    assert run(folder, *asked(folder)).code == 0
    entities.write_text(header + "\n")
    done = run(folder, *asked(folder))
    assert (done.code, "there is no one to assess" in done.err) == (0, True)


@pytest.mark.parametrize("option", ["--output", "--breakdowns", "--failures"])
def test_a_folder_that_is_not_there_is_named_before_anything_is_written(folder: Path, option: str) -> None:
    said = refuse(folder, *asked(folder, "--output", folder / "levels.csv", option, folder / "none" / "a.csv"))
    assert "there is no folder" in said
    assert not (folder / "levels.csv").exists()


def test_a_column_that_is_spelt_otherwise_is_suggested(folder: Path) -> None:
    entities = folder / "entities.csv"
    entities.write_text(entities.read_text().replace("country", "Country", 1))
    assert "perhaps Country is meant: --map Country=country" in refuse(folder, *asked(folder))
    assert run(folder, *asked(folder, "--map", "Country=country")).code == 1  # as without the change


def test_a_moment_that_is_to_come_gets_a_warning(folder: Path) -> None:
    done = run(folder, *asked(folder, as_of="2999-01-01"))
    assert done.code == 1
    assert "warning: --as-of is 2999-01-01, which is in the future" in done.err
    assert "to come" not in run(folder, *asked(folder)).err


@pytest.fixture
def companies(folder: Path) -> Path:
    """A ruleset for companies, beside that for people: every company is medium."""
    text = RULES.replace("ruleset: tiny", "ruleset: tiny-companies").replace("equals: person", "equals: company")
    path = folder / "companies.yaml"
    path.write_text(text.replace("floor: high}]", "floor: high}]\n    otherwise: {points: 10}"))
    return path


def by_ruleset(levels: Path) -> list[tuple[str, str | None, str | None]]:
    return pl.read_csv(levels).select("entity_id", "level", "ruleset").rows()


def test_the_first_ruleset_that_applies_decides(folder: Path, companies: Path) -> None:
    (folder / "entities.csv").write_text(f"{ENTITIES}e,,DE,\n".replace("Germany", "DE"))
    done = run(folder, *asked(folder, "--then", companies, "-o", folder / "levels.csv"))
    assert by_ruleset(folder / "levels.csv") == [
        ("a", "medium", "tiny"),
        ("b", "high", "tiny"),
        ("c", "medium", "tiny-companies"),
        ("d", "low", "tiny"),
        ("e", None, "tiny"),
    ]
    assert "warning: 1 undetermined: e" in done.err
    assert "not applicable" not in done.err
    shown = succeed(folder, *asked(folder, "--then", companies, "--explain", "c"))
    assert shown.startswith("c: medium by tiny-companies, as of 2024-07-01\n")


def test_to_whom_none_applies_has_no_level_and_no_ruleset(folder: Path) -> None:
    people = folder / "people.yaml"
    people.write_text(RULES.replace("ruleset: tiny", "ruleset: people"))
    more = asked(folder, "--then", people, "-o", folder / "levels.csv", "--failures", folder / "failures.csv")
    done = run(folder, *more)
    assert by_ruleset(folder / "levels.csv")[2] == ("c", None, None)
    assert "warning: 1 not applicable: c" in done.err
    assert pl.read_csv(folder / "failures.csv")["entity_id"].to_list() == ["d"]


def test_a_ruleset_that_decided_before_and_is_absent_now_is_warned_of(folder: Path, companies: Path) -> None:
    run(folder, *asked(folder, "--then", companies, "-o", folder / "before.csv"))
    done = run(folder, *asked(folder, "--previous", folder / "before.csv", "-o", folder / "after.csv"))
    name, kept = pl.read_csv(folder / "before.csv")["ruleset"].drop_nulls().unique(maintain_order=True)
    assert f"ruleset {kept} decided on 1 of the entities" in done.err
    assert f"those that assess now ({name})" in done.err


FORMULAS = ("+47 123 45 678", "@ola", "-a-17", "'=1", "ok")


def test_identifiers_that_a_spreadsheet_would_run_keep_their_level_and_ruleset(folder: Path, companies: Path) -> None:
    def entities(country: str, kind: str) -> None:
        rows = [f"{name},{kind},{country},\n" for name in FORMULAS]
        (folder / "entities.csv").write_text("entity_id,kind,country,age\n" + "".join(rows))

    entities("IR", "person")
    run(folder, *asked(folder, "--then", companies, "-o", folder / "before.csv"))
    assert "'+47 123 45 678" in (folder / "before.csv").read_text()
    entities("DE", "")
    more = ("--then", companies, "--previous", folder / "before.csv", "-o", folder / "after.parquet")
    done = run(folder, *asked(folder, *more, as_of="2024-07-02"))
    assert "before.csv are of no entity" not in done.err
    after = pl.read_parquet(folder / "after.parquet").select("entity_id", "level", "ruleset").rows()
    assert after == [(name, "high", "tiny") for name in FORMULAS]


def test_an_apostrophe_that_a_person_wrote_is_part_of_the_identifier(folder: Path) -> None:
    (folder / "entities.csv").write_text("entity_id,kind,country,age\n'+47,person,DE,\n")
    (folder / "before.csv").write_text("entity_id,rules_level,entered\n'+47,high,2024-06-30\n")
    run(folder, *asked(folder, "--previous", folder / "before.csv", "-o", folder / "after.parquet"))
    assert pl.read_parquet(folder / "after.parquet")["level"].to_list() == ["high"]


def test_who_may_belong_to_another_ruleset_stays_with_the_one_that_decided(folder: Path, companies: Path) -> None:
    run(folder, *asked(folder, "--then", companies, "-o", folder / "before.csv"))
    (folder / "entities.csv").write_text(ENTITIES.replace("c,company", "c,"))
    after = folder / "after.csv"
    run(
        folder,
        *asked(folder, "--then", companies, "--previous", folder / "before.csv", "-o", after, as_of="2024-07-05"),
    )
    assert by_ruleset(after)[2] == ("c", "medium", "tiny-companies")
    run(folder, *asked(folder, "--then", companies, "-o", after, as_of="2024-07-05"))
    assert by_ruleset(after)[2] == ("c", None, "tiny")


HEAD = (
    "fields: {kind: text, country: text, income: number, pep: text}\nentity_type: customer\n"
    "levels: [low, medium, high, critical]\nscore: {points: {thresholds: [31, 61, 86]}}\n"
    "max_recompute_interval: 30 days\ncooldown: 10 days\nrationale: why\nrules:\n"
)
RICH = "{field: income, at_least: 100}, points: 90"


def of_days(
    folder: Path, rulesets: dict[str, tuple[str, str]], days: list[tuple[int, str, int, str]]
) -> list[tuple[str | None, ...]]:
    """Assess one entity day by day, each day with the levels of the day before: level, status, ruleset and kept_by.

    *rulesets* by name, in order: the condition for whom each is, and its rule. *days* have kind, income and pep.
    """
    for name, (condition, rule) in rulesets.items():
        applies_to = f"applies_to: {condition}\n" if condition else ""
        rules = f"  - {{id: one, title: One, category: other, rationale: why, cases: [{{when: {rule}}}]}}\n"
        (folder / f"{name}.yaml").write_text(f"ruleset: {name}\n{applies_to}{HEAD}{rules}")
    first, *others = [folder / f"{name}.yaml" for name in rulesets]
    then = [word for other in others for word in ("--then", other)]
    previous: list[str] = []
    levels = []
    for day, kind, income, pep in days:
        (folder / "entities.csv").write_text(f"entity_id,kind,income,country,pep\na,{kind},{income},IR,{pep}\n")
        output = folder / f"levels-{day}.csv"
        files = [first, folder / "entities.csv", *then]
        run(folder, "rules", "assess", *files, "--as-of", f"2026-03-{day:02}", "-o", output, *previous)
        levels.append(pl.read_csv(output).select("level", "status", "ruleset", "kept_by").row(0))
        shown = run(folder, "rules", "assess", *files, "--as-of", f"2026-03-{day:02}", "--explain", "a", *previous)
        kept_by = levels[-1][3]
        assert [line for line in shown.out.splitlines() if line.startswith("kept by")] == (
            [f"kept by {kept_by}"] if kept_by else []
        )
        previous = ["--previous", str(output)]
    return levels


STRICT_AND_MILD = {
    "strict": ("{field: kind, equals: company}", "{field: country, equals: IR}, points: 70"),
    "mild": ("", RICH),
}


def test_a_passing_rise_by_another_ruleset_lets_nobody_out_of_the_one_that_decided(tmp_path: Path) -> None:
    """The day on which the other ruleset asked for more is remembered in the column `kept_by`."""
    days = [(1, "company", 10, "n"), (2, "", 100, "n"), (3, "", 10, "n"), (20, "", 10, "n")]
    assert of_days(tmp_path, STRICT_AND_MILD, days) == [
        ("high", "assessed", "strict", None),
        ("critical", "assessed", "mild", "strict"),
        ("critical", "undetermined", "strict", None),
        ("critical", "undetermined", "strict", None),
    ]


@pytest.mark.parametrize("kind", ["", "company"])
def test_a_day_under_an_earlier_ruleset_lets_nobody_out_of_the_one_that_decided(tmp_path: Path, kind: str) -> None:
    """It is remembered likewise, whether or not it is known on that day that the other one applies."""
    rulesets = {"peps": ("{field: pep, equals: y}", RICH), **STRICT_AND_MILD}
    days = [(1, "company", 10, "n"), (2, kind, 10, "y"), (3, "", 10, "n"), (20, "", 10, "n"), (21, "person", 10, "n")]
    assert of_days(tmp_path, rulesets, days) == [
        ("high", "assessed", "strict", None),
        ("high", "assessed", "peps", "strict"),
        ("high", "undetermined", "strict", None),
        ("high", "undetermined", "strict", None),
        ("low", "assessed", "mild", None),
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("ruleset: tiny", "ruleset: tiny", "two of the rulesets have the name tiny"),
        ("[low, medium, high]", "[low, medium, severe]", "must have the same"),
        ("entity_type: customer", "entity_type: shop", "must be for the same"),
    ],
)
def test_rulesets_that_cannot_stand_side_by_side_are_refused(
    folder: Path, before: str, after: str, message: str
) -> None:
    other = folder / "other.yaml"
    text = RULES.replace("ruleset: tiny", "ruleset: other") if before != after else RULES
    other.write_text(text.replace(before, after).replace("floor: high", "floor: medium"))
    assert message in refuse(folder, *asked(folder, "--then", other))


COMMERCE = """
ruleset: good-customers
entity_type: customer
purpose: commercial
fields: {country: country}
purposes: {fields: {country: both}}
levels: [bronze, silver, gold]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules:
  - id: country
    title: Country
    category: geography
    input: {field: country}
    cases: [{when: {in_list: neighbours}, points: 10}]
"""
LIST = "list: neighbours\ntitle: T\nsource: S\n%sversions: [{since: 2020-01-01, members: [DE]}]\n"


@pytest.mark.parametrize("command", [("assess", "{rules}", "{people}"), ("backtest", "{rules}", "--data", "{people}")])
def test_a_ruleset_for_commerce_reads_no_list_for_aml(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "people.csv").write_text("entity_id,country\na,DE\n")
    (tmp_path / "rules.yaml").write_text(COMMERCE)
    (tmp_path / "lists").mkdir()
    given = {"{rules}": tmp_path / "rules.yaml", "{people}": tmp_path / "people.csv"}
    whole = ("rules", *(given.get(word, word) for word in command), "--lists", tmp_path / "lists")
    (tmp_path / "lists" / "own.yaml").write_text(LIST % "")
    assert "rule country → list neighbours" in refuse(tmp_path, *whole)
    (tmp_path / "lists" / "own.yaml").write_text(LIST % "purpose: both\n")
    assert run(tmp_path, *whole).code == 0


def test_where_the_first_of_several_cannot_read_if_it_applies_the_floors_of_the_next_count(tmp_path: Path) -> None:
    """Of two whose kind is misspelt, who is on a sanctions list is critical, and the other one failed in sight."""
    head = "entity_type: customer\nfields: {kind: {one_of: [person, company]}, watched: flag}\n"
    head += "levels: [low, medium, high, critical]\nscore: {points: {thresholds: [10, 20, 30]}}\n"
    head += "max_recompute_interval: 180 days\nrationale: why\nrules:\n"
    rule = "  - {id: watched, title: Watched, category: other, rationale: why,"
    rule += " cases: [{when: {field: watched, equals: true}, points: 10, floor: critical}]}\n"
    other = rule.replace("points: 10, floor: critical", "points: 1")
    (tmp_path / "companies.yaml").write_text(
        "ruleset: companies\n" + head.replace("levels", "applies_to: {field: kind, equals: company}\nlevels") + other
    )
    (tmp_path / "people.yaml").write_text("ruleset: people\n" + head + rule)
    (tmp_path / "customers.csv").write_text(
        "entity_id,kind,watched\na,kompany,true\nb,kompany,false\nc,company,true\nd,,true\n"
    )
    files = [str(tmp_path / name) for name in ("companies.yaml", "customers.csv", "people.yaml", "out.csv")]
    done = run(
        tmp_path, "rules", "assess", *files[:2], "--then", files[2], "--output", files[3], "--as-of", "2025-01-01"
    )
    assert "warning: 1 failed: b" in done.err
    assert pl.read_csv(files[3]).select("entity_id", "level", "status", "ruleset").rows() == [
        ("a", "critical", "assessed", "people"),
        ("b", None, "failed", "companies"),
        ("c", "low", "assessed", "companies"),
        ("d", "critical", "assessed", "people"),
    ]


@pytest.mark.parametrize("name", ["people.xlsx", "people.ods"])
def test_a_workbook_is_named_with_what_can_be_read(folder: Path, name: str) -> None:
    (folder / name).touch()
    assert "(text also with .gz); save it as CSV UTF-8" in refuse(
        folder, "rules", "assess", folder / "rules.yaml", folder / name
    )


def test_a_folder_without_parquet_is_named(folder: Path) -> None:
    (folder / "people").mkdir()
    shutil.copy(folder / "entities.csv", folder / "people")
    said = refuse(folder, "rules", "assess", folder / "rules.yaml", folder / "people")
    without = "is a folder without a file ending in .parquet; of other formats one file is read, not a folder"
    assert said == f"{folder / 'people'} {without}"
