"""`fivefold flows`: flows on files, as a person at the terminal meets them."""

import errno
import json
import os
from pathlib import Path

import polars as pl
import pytest

from tests.cli.rules_files import AS_OF, made
from tests.cli.running import refuse, run, succeed

FLOW = """
flow: cash-limit
title: A limit for cash
entity_type: customer
rationale: Cash leaves no trail.
levels: [low, medium, high, critical]
fields: {kind: text}
actions:
  - {id: set-limit, title: Set the limit, limit: cash, amount: {step: room, output: amount}, between: [0, 500]}
  - {id: look, title: Review within a week, review: 7 days}
steps:
  - id: by-risk
    title: Risk first
    rationale: A person looks at high risk.
    route: [{when: {level: in_force, equals: high}, to: ask}]
    otherwise: room
    on_unknown: ask
  - id: room
    title: Room
    rationale: By kind.
    table:
      gives: {amount: money}
      rows: [{when: {field: kind, equals: person}, give: {amount: 900}}]
      otherwise: {amount: 100}
      on_unknown: {amount: 0}
    then: limited
  - id: ask
    title: A person looks
    rationale: Before anything is set.
    person: {question: "In order?", within: 2 days, answers: {fine: nothing, stop: looked-at}, otherwise: looked-at}
  - {id: nothing, title: Nothing, rationale: In order., end: []}
  - {id: looked-at, title: Looked at, rationale: Not in order., end: [look]}
  - {id: limited, title: Limited, rationale: By the table., end: [set-limit]}
on_failure: [look]
"""
EXAMPLES = """
examples:
  - {name: a person, given: {level: low, kind: person}, ends: limited, actions: [set-limit]}
  - {name: a company, given: {level: low, kind: company}, ends: limited}
  - {name: of unknown kind, given: {level: low}, ends: limited}
  - {name: high, given: {level: high}, answers: {ask: fine}, ends: nothing, actions: []}
  - {name: not in order, given: {level: high}, answers: {ask: stop}, ends: looked-at}
  - {name: nobody came, given: {level: high}, answers: {ask: nobody}, ends: looked-at, actions: [look]}
  - {name: never assessed, given: {}, ends: ask}
"""

SHIPPED = ("onboarding", "escalation", "limits", "payment", "reactivation", "review")


def written(folder: Path, text: str = FLOW + EXAMPLES) -> Path:
    path = folder / "flow.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """People, and the ruleset that gives their levels."""
    made(tmp_path)
    return tmp_path


def options(folder: Path) -> tuple[object, ...]:
    return (folder / "people.parquet", "--ruleset", folder / "now.yaml", *AS_OF)


def test_a_flow_that_ships_has_nothing_wrong_and_passes_its_examples(tmp_path: Path) -> None:
    for name in SHIPPED:
        assert succeed(tmp_path, "flows", "lint", name, "--strict").splitlines()[-1] == "1 flow: no errors or warnings"
        out = succeed(tmp_path, "flows", "test", name)
        assert "(100.0 %)" in out
        assert out.splitlines()[-1] == "passed"


def test_lint_names_the_line_and_ends_with_one(tmp_path: Path) -> None:
    path = written(tmp_path, FLOW.replace("then: limited", "then: limitted"))
    done = run(tmp_path, "flows", "lint", path)
    assert done.code == 1
    line = 1 + path.read_text().splitlines().index("    then: limitted")
    assert f"{path}:{line}: error: step room, then: there is no step limitted" in done.out.replace("\n", " ")


def test_lint_is_read_by_programs_and_code_hosts_and_tells_notes_where_they_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, (FLOW + EXAMPLES).replace("    on_unknown: ask\n", "").replace("rationale: By kind.", ""))
    plain = run(tmp_path, "flows", "lint", path)
    assert (plain.code, plain.out.splitlines()[-1]) == (0, "1 flow: 0 errors, 1 warning")
    assert run(tmp_path, "flows", "lint", path, "--strict").code == 1
    told = succeed(tmp_path, "flows", "lint", path, "--all").splitlines()
    assert told[-1] == "1 flow: 0 errors, 1 warning, 1 note"
    found = json.loads(succeed(tmp_path, "flows", "lint", path, "--all", "--format", "json"))
    checks = [(one["check"], one["severity"], one["where"]) for one in found["files"][0]["findings"]]
    assert checks == [("failures", "note", "step by-risk"), ("reasons", "warning", "step room")]
    log = json.loads(succeed(tmp_path, "flows", "lint", path, "limits", "--format", "sarif"))
    (result,) = log["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("reasons", "warning")
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] > 1


def test_a_status_that_may_end_the_relationship_has_its_line_for_people_programs_and_code_hosts(tmp_path: Path) -> None:
    text = (FLOW + EXAMPLES).replace("[look]}", "[look, stop]}")
    path = written(tmp_path, text.replace("steps:\n", "  - {id: stop, title: Stop, status: blocked}\nsteps:\n"))
    line = 1 + next(n for n, each in enumerate(path.read_text().splitlines()) if "status: blocked" in each)
    said = f"{path}:{line}: warning: action stop, status: gives the status blocked without the answer of a person"
    assert said in succeed(tmp_path, "flows", "lint", path).replace("\n", " ")
    assert run(tmp_path, "flows", "lint", path, "--strict").code == 1
    found = json.loads(succeed(tmp_path, "flows", "lint", path, "--format", "json"))["files"][0]["findings"]
    assert [(one["check"], one["line"], one["where"]) for one in found] == [
        ("relationships", line, "action stop, status")
    ]
    (result,) = json.loads(succeed(tmp_path, "flows", "lint", path, "--format", "sarif"))["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("relationships", "warning")
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == line


def test_a_level_that_an_example_gives_and_there_is_not_has_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path, (FLOW + EXAMPLES).replace("{name: high, given: {level: high}", "{name: high, given: {level: hihg}")
    )
    line = 1 + next(n for n, each in enumerate(path.read_text().splitlines()) if "hihg" in each)
    assert lint_faults(tmp_path, path).startswith(f"{path}:{line}: error: example high")
    assert f"line {line}: example high" in refuse(tmp_path, "flows", "test", path)
    path.write_text(path.read_text().replace("{level: hihg}", "{transaction: 5}"))
    assert lint_faults(tmp_path, path).startswith(f"{path}:{line}: error: example high")


def lint_faults(var: Path, path: Path) -> str:
    """What lint prints of a flow with errors."""
    done = run(var, "flows", "lint", path)
    assert (done.code, done.err) == (1, "")
    return done.out


def test_a_fault_has_its_file_and_line_wherever_a_flow_is_run(folder: Path) -> None:
    path = written(folder, (FLOW + EXAMPLES).replace("on_unknown: ask", "on_unknown: aks"))
    line = 1 + next(n for n, each in enumerate(path.read_text().splitlines()) if "aks" in each)
    for command in (("run", path, *options(folder)), ("test", path), ("mutate", path)):
        refused = refuse(folder, "flows", *command)
        assert f"{path} is not valid:" in refused
        assert f"line {line}: step by-risk, on_unknown: there is no step aks" in refused


def test_two_versions_are_compared_for_people_and_for_programs(tmp_path: Path) -> None:
    path, found = written(tmp_path), tmp_path / "diff.json"
    other = tmp_path / "other.yaml"
    other.write_text(
        path.read_text().replace("stop: looked-at}", "stop: nothing}").replace("{amount: 900}", "{amount: 90}")
    )
    out = succeed(tmp_path, "flows", "diff", path, other, "--json", found).splitlines()
    assert out[:3] == [
        "step room, table, row 1, give: amount 900 → amount 90",
        "step ask, person, answer stop: looked-at → nothing",
        "end nothing: a person decides before it → some way leads there without a person",
    ]
    plain = json.loads(found.read_text())
    assert (plain["kind"], plain["same"], len(plain["changes"])) == ("flow diff", False, 3)
    assert succeed(tmp_path, "flows", "diff", path, path).startswith("The same content: ")


def test_changes_that_no_example_notices_are_named_and_end_with_one(tmp_path: Path) -> None:
    path = written(tmp_path)
    done = run(tmp_path, "flows", "mutate", path)
    line = 1 + path.read_text().splitlines().index("      otherwise: {amount: 100}")
    assert (done.code, done.err) == (1, "")
    assert f"{path}:{line}: step room, table, otherwise, amount: 100 → 99: no example notices" in done.out.splitlines()
    found = json.loads(run(tmp_path, "flows", "mutate", path, "--format", "json").out)
    assert (found["kind"], found["flow"]) == ("mutations", "cash-limit")
    least = int(found["noticed_percent"])
    assert run(tmp_path, "flows", "mutate", path, "--least", least).code == 0
    assert run(tmp_path, "flows", "mutate", path, "--least", least + 1).code == 1


def test_an_example_expects_outputs_and_amounts(tmp_path: Path) -> None:
    expected = "ends: limited, outputs: {room: {amount: 900}}, amounts: {set-limit: 400}, actions: [set-limit]}"
    path = written(tmp_path, (FLOW + EXAMPLES).replace("ends: limited, actions: [set-limit]}", expected))
    done = run(tmp_path, "flows", "test", path)
    assert done.code == 1
    assert "set-limit sets 500.00 EUR, not 400.00 EUR" in done.out
    assert "amount of room" not in done.out
    path.write_text(path.read_text().replace("400}", "500}").replace("{amount: 900}}, am", "{amount: 90.01}}, am"))
    assert "amount of room is 900.00, not 90.01" in run(tmp_path, "flows", "test", path).out


def test_a_text_that_cannot_be_read_is_found_beside_other_flows(tmp_path: Path) -> None:
    wide = tmp_path / "wide.yaml"
    wide.write_bytes("flow: a".encode("utf-16"))
    done = run(tmp_path, "flows", "lint", wide, "limits")
    assert (done.code, done.out.splitlines()[-1]) == (1, "2 flows: 1 error, 0 warnings")
    assert "UTF-16" in done.out


def test_examples_tell_what_came_out_otherwise_and_which_ways_none_takes(tmp_path: Path) -> None:
    few = FLOW + EXAMPLES.split("  - {name: high", maxsplit=1)[0].replace("[set-limit]", "[look]")
    done = run(tmp_path, "flows", "test", written(tmp_path, few))
    assert done.code == 1
    assert "actions are set-limit, not look" in done.out
    assert "not taken: step ask, nobody" in done.out
    assert done.out.splitlines()[-1] == "FAILED"


def test_a_run_counts_ends_and_actions_and_writes_each_with_its_why(folder: Path) -> None:
    output, why = folder / "ends.csv", folder / "why.jsonl"
    out = succeed(folder, "flows", "run", written(folder), *options(folder), "-o", output, "--explanations", why)
    table = pl.read_csv(output, schema_overrides={"entity_id": pl.String})
    people = pl.read_parquet(folder / "people.parquet")
    assert table["entity_id"].to_list() == people["entity_id"].to_list()
    limited = table.filter(pl.col("at") == "limited")
    assert set(limited["set-limit_minor"]) <= {50000, 10000, 0}
    assert f"{len(limited):,}" in out
    lines = [json.loads(line) for line in why.read_text().splitlines()]
    assert [line["entity"] for line in lines] == people["entity_id"].to_list()
    held = next(line for line in lines if line["actions"] and line["actions"][0]["amount_minor"] == 50000)
    assert "the greatest that may be set, in place of 900.00 EUR" in held["actions"][0]["sets"]


def test_the_file_of_ends_stays_as_it_was_if_the_explanations_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    output, why = folder / "ends.csv", folder / "why.jsonl"
    for file in (output, why):
        file.write_text("of the run before")
    monkeypatch.setattr("fivefold.usecases.flows.on_files.explanation_lines", run_out)
    files = ("-o", output, "--explanations", why)
    said = refuse(folder, "flows", "run", written(folder), *options(folder), *files)
    assert "No space left on device" in said
    assert output.read_text() == why.read_text() == "of the run before"


def test_answers_lead_on_and_only_those_that_there_are(folder: Path) -> None:
    path, answers = written(folder), folder / "answers.csv"
    people = pl.read_parquet(folder / "people.parquet")["entity_id"]
    before = succeed(folder, "flows", "run", path, *options(folder), "--explain", people[0])
    answers.write_text(f"entity_id,step,answer\n{people[0]},ask,stop\n")
    after = succeed(folder, "flows", "run", path, *options(folder), "--answers", answers, "--explain", people[0])
    assert ("Waits" in before) == ("answered stop" in after)
    answers.write_text(f"entity_id,step,answer\n{people[0]},ask,perhaps\n{people[0]},ask,stop\nx,by,no\n")
    refused = refuse(folder, "flows", "run", path, *options(folder), "--answers", answers)
    assert f"4 problems in {answers}" in refused
    for line in ("row 2: answer is 'perhaps'", "at ask, fine, stop, nobody", "row 3: entity_id", "row 4: step is 'by'"):
        assert line in refused


def test_what_files_cannot_give_is_said(folder: Path) -> None:
    path = written(folder)
    people = folder / "people.parquet"
    assert "say with --ruleset which ruleset gives it" in refuse(folder, "flows", "run", path, people, *AS_OF)
    assert "looks at the transaction" in refuse(folder, "flows", "run", "payment", people, *AS_OF)
    assert "neither a file nor a bundled flow" in refuse(folder, "flows", "run", "nowhere", people, *AS_OF)


def test_the_schema_knows_every_step(tmp_path: Path) -> None:
    schema = json.loads(succeed(tmp_path, "flows", "schema"))
    assert {"calculate-step", "route-step", "table-step", "rules-step", "person-step", "end-step"} <= set(
        schema["$defs"]
    )


ASKING = """
flow: register
title: The register
entity_type: customer
rationale: A dissolved company opens no account.
levels: [low, medium, high, critical]
fields: {kind: text}
actions: [{id: look, title: Review within a week, review: 7 days}]
steps:
  - id: registry
    title: What the register says
    rationale: It knows.
    data: {source: companies, send: {kind: {field: kind}}, gives: {status: text, capital: money}}
    on_unknown: looked-at
  - id: choice
    title: By that
    rationale: Dissolved is looked at.
    route: [{when: {step: registry, output: status, equals: dissolved}, to: looked-at}]
    otherwise: nothing
    on_unknown: looked-at
  - {id: nothing, title: Nothing, rationale: In order., end: []}
  - {id: looked-at, title: Looked at, rationale: Not in order., end: [look]}
on_failure: [look]
examples:
  - {name: dissolved, given: {kind: company}, outcomes: {registry: {status: dissolved, capital: 1}}, ends: looked-at}
  - {name: active, given: {kind: company}, outcomes: {registry: {status: active}}, ends: nothing}
  - {name: nothing is said, given: {kind: company}, outcomes: {registry: {}}, ends: looked-at}
  - {name: it is down, given: {kind: company}, outcomes: {registry: failed}, ends: looked-at}
  - {name: not asked yet, given: {kind: company}, ends: registry}
"""


def test_what_came_from_outside_is_read_from_a_file(folder: Path) -> None:
    flow, outcomes = written(folder, ASKING), folder / "outcomes.jsonl"
    assert "passed" in succeed(folder, "flows", "test", flow)
    people = pl.read_parquet(folder / "people.parquet")["entity_id"].to_list()
    lines = [
        {"values": {"status": "dissolved", "capital": 12.34}, "source": "a register", "at_us": 1_700_000_000_000_000},
        {"failed": "it was down"},
    ]
    told = [{"entity_id": person, "step": "registry", **line} for person, line in zip(people, lines, strict=False)]
    outcomes.write_text("\n".join(map(json.dumps, told)))
    out = succeed(folder, "flows", "run", flow, *options(folder)[:1], *AS_OF, "--outcomes", outcomes)
    assert "ended at looked-at" in out
    assert "asks at registry" in out or len(people) == len(lines)
    one = (*options(folder)[:1], *AS_OF, "--outcomes", outcomes, "--explain", people[0])
    out = succeed(folder, "flows", "run", flow, *one)
    assert "Came from a register at 2023-11-14T22:13:20Z; gives capital 12.34" in out


def test_an_outcome_that_cannot_be_is_refused_with_its_line(folder: Path) -> None:
    flow, outcomes = written(folder, ASKING), folder / "outcomes.jsonl"
    person = pl.read_parquet(folder / "people.parquet")["entity_id"][0]
    right = {"entity_id": person, "step": "registry", "values": {}}
    for lines, part in (
        (["{"], "line 1 is not JSON"),
        (["[]"], "line 1 is not a JSON object"),
        ([{**right, "step": "choice"}], "'choice' asks nobody outside; steps that do are registry"),
        ([{**right, "entity_id": "nobody"}], "is not an entity that was read"),
        ([right, right], "line 2: entity"),
        ([{**right, "values": {"status": 3}}], "status is 3; it must be text"),
        ([{**right, "values": {"capital": 0.001}}], "not a whole number of the smallest unit"),
        ([{**right, "values": {"mayor": "x"}}], "mayor"),
        ([{**right, "reasons": [{}]}], "line 1"),
    ):
        outcomes.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        told = refuse(folder, "flows", "run", flow, *options(folder)[:1], *AS_OF, "--outcomes", outcomes)
        assert part in " ".join(told.split())


def test_what_a_flow_asks_is_given_or_ships(folder: Path) -> None:
    rules = (folder / "now.yaml").read_text().replace("ruleset: ", "ruleset: own-", 1)
    (folder / "own.yaml").write_text(rules)
    name = rules.split("ruleset: ", 1)[1].split()[0]
    steps = f"steps:\n  - {{id: today, title: Today, rationale: R., rules: {{ruleset: {name}}}, on_unknown: end}}\n"
    asks = FLOW[: FLOW.index("fields:")] + steps + "  - {id: end, title: End, end: []}\n"
    path = written(folder, asks)
    refused = run(folder, "flows", "lint", path)
    assert (refused.code, f"there is no ruleset {name}" in refused.out) == (1, True)
    assert run(folder, "flows", "lint", path, "--asks", folder / "own.yaml").code == 0
    people = (folder / "people.parquet", "--asks", folder / "own.yaml", *AS_OF)
    assert "ended at end" in succeed(folder, "flows", "run", path, *people)
    other = folder / "other.yaml"
    other.write_text(asks.replace("flow: cash-limit", "flow: other"))
    path.write_text(asks.replace(f"rules: {{ruleset: {name}}}", "flow: other"))
    succeed(folder, "flows", "lint", path, "--asks", folder / "own.yaml", "--asks", other)
    assert "begins with none of these words" in refuse(folder, "flows", "lint", path, "--asks", folder / "labels.csv")


def test_pictures_of_the_docs_show_the_flows_that_ship(tmp_path: Path) -> None:
    images = Path(__file__).parents[3] / "docs" / "images"
    for name in SHIPPED:
        drawn = tmp_path / f"flow-{name}.svg"
        assert name in succeed(tmp_path, "flows", "draw", name, "--to", str(drawn))
        assert drawn.read_text() == (images / drawn.name).read_text(), (
            f"fivefold flows draw {name} --output docs/images/{drawn.name}"
        )
    assert "must end in .svg" in refuse(tmp_path, "flows", "draw", "review", "-o", str(tmp_path / "review.png"))


def test_an_example_expects_the_level_that_a_ruleset_gives(tmp_path: Path) -> None:
    flow = """
flow: level
title: The level
entity_type: customer
levels: [low, medium, high, critical]
steps:
  - {id: today, title: Today, rules: {ruleset: fatf-retail}, on_unknown: end}
  - {id: end, title: End, end: []}
examples:
  - name: A hit
    given: {kind: person, country: DE, screening: [sanctions]}
    ends: end
    outputs: {today: {level: LEVEL}}
"""
    right = written(tmp_path, flow.replace("LEVEL", "critical"))
    assert "1 example, 0 failed" in run(tmp_path, "flows", "test", str(right)).out
    assert (
        "level of today is critical, not low"
        in run(tmp_path, "flows", "test", str(written(tmp_path, flow.replace("LEVEL", "low")))).out
    )
    assert "there are low, medium, high, critical" in refuse(
        tmp_path, "flows", "test", str(written(tmp_path, flow.replace("LEVEL", "hihg")))
    )


def test_a_table_goes_to_a_spreadsheet_and_back(tmp_path: Path) -> None:
    path, table, draft = written(tmp_path), tmp_path / "room.csv", tmp_path / "draft.yaml"
    assert succeed(tmp_path, "flows", "table", "export", path, "room", "--to", table) == f"1 row of room in {table}\n"
    assert "has the same content hash" in succeed(
        tmp_path, "flows", "table", "import", path, "room", table, "-o", draft
    )
    table.write_text(table.read_text(encoding="utf-8-sig").replace("900", "800"))
    again = ("flows", "table", "import", path, "room", table, "-o", draft)
    assert "--replace overwrites it" in refuse(tmp_path, *again)
    assert "it is not in force" in succeed(tmp_path, *again, "--replace")
    assert "give: {amount: 800}" in draft.read_text()
    export = ("flows", "table", "export", path, "room", "--to", table)
    assert "--replace overwrites it" in refuse(tmp_path, *export)
    assert "800" in table.read_text(encoding="utf-8-sig")
    words = refuse(tmp_path, "flows", "table", "import", path, "room", table, "-o", path)
    assert "read as the argument FLOW; choose another file" in words
    assert "must end in" in refuse(tmp_path, "flows", "table", "export", path, "room", "-o", tmp_path / "room.pdf")
