"""Committing: only what is clean, fits and is covered by examples; then nothing changes it any more."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.rulesets import Draft, RulesetVersion
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.rulesets.commit import Committed, commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.at_once import change_settings, put_list_version
from tests.usecases.governed import NOW, audited, document, founded, rows_of, together

DOUBTFUL = document().replace("    rationale: How much comes in.\n", "")
People = tuple[Actor, Actor, Actor]


def prepared(engine: Engine) -> People:
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    return three


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return prepared(engine)


def test_a_draft_becomes_a_version_and_is_gone(engine: Engine, three: People) -> None:
    ana, ben, cyd = three
    save_draft(Context(engine, ana), document())
    save_draft(Context(engine, ben), document(remark="second"), 1)
    ruleset = read_ruleset(document())
    made = commit(Context(engine, cyd).at(NOW), "retail", 2)
    assert made == Committed("retail", 1, ruleset.content_hash, ("member:1", "member:2"))
    assert rows_of(engine, Draft) == []
    (row,) = rows_of(engine, RulesetVersion)
    assert row["document"] == document(remark="second"), "as it was written, remarks and all"
    assert (row["canonical"], row["content_hash"]) == (ruleset.canonical, ruleset.content_hash)
    assert (row["committed_by"], row["committed_us"], row["number"]) == ("member:3", NOW, 1)
    assert row["editors"] == ["member:1", "member:2"]
    assert row["tests"] == {
        "revision": 2,
        "as_of_us": NOW,
        "examples": [
            {"name": "watched", "line": "Score 30: Country of residence 30; Medium"},
            {"name": "north", "line": row["tests"]["examples"][1]["line"]},
        ],
        "rules_percent": "100.0",
        "cases_percent": "100.0",
        "not_reached": [],
        "warnings": [],
        "warnings_accepted": "",
    }


def test_numbers_count_up_and_revisions_go_on(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    save_draft(Context(engine, ana), document())
    commit(Context(engine, ana), "retail", 1)
    with pytest.raises(ConflictError, match=r"retail has no draft now \(revision 0\), not 1"):
        save_draft(Context(engine, ben), document(medium=29), 1)
    saved = save_draft(Context(engine, ben), document(medium=29), 0)
    assert (saved.revision, saved.editors) == (2, ("member:2",)), "never again the revision of an earlier draft"
    assert commit(Context(engine, ana), "retail", 2).number == 2
    assert [row["editors"] for row in rows_of(engine, RulesetVersion)] == [["member:1"], ["member:2"]]


def test_the_content_of_the_newest_version_is_not_committed_again(engine: Engine, three: People) -> None:
    ana = three[0]
    for revision, medium in enumerate((30, 29), 1):
        save_draft(Context(engine, ana), document(medium=medium))
        commit(Context(engine, ana), "retail", revision)
    save_draft(Context(engine, ana), document(medium=29, remark="only a remark"))
    with pytest.raises(ConflictError, match="version 2 of retail has this content already"):
        commit(Context(engine, ana), "retail", 3)
    save_draft(Context(engine, ana), document(medium=30), 3)
    assert commit(Context(engine, ana), "retail", 4).number == 3, "that of an older one is a change"


def test_what_was_not_looked_at_is_not_committed(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    save_draft(Context(engine, ana), document())
    save_draft(Context(engine, ben), document(medium=25), 1)
    with pytest.raises(ConflictError, match="retail has a draft of revision 2, not 1"):
        commit(Context(engine, ana), "retail", 1)
    assert rows_of(engine, RulesetVersion) == []


def test_what_is_saved_while_the_examples_run_is_not_committed_unseen(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.usecases.rulesets import commit as ruleset_commits

    ana, ben, _ = three
    save_draft(Context(engine, ana), document())
    real = ruleset_commits.review

    def slow(*given: Any) -> Any:
        save_draft(Context(engine, ben), document(medium=59), 1)
        return real(*given)

    monkeypatch.setattr(ruleset_commits, "review", slow)
    with pytest.raises(ConflictError, match="revision 2, not 1"):
        commit(Context(engine, ana), "retail", 1)
    assert rows_of(engine, RulesetVersion) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("score:", "scores:", "scores: is not a word"),
        ("[low, medium, high]", "[low, high, medium]", "those of the organisation are low, medium, high"),
        ("  income: number", "  income: text", "of the type customer it is number"),
        ("{in_list: watched}", "{in_list: gone}", "the list gone, which is missing"),
        ("{level: medium}", "{level: low}", "example watched: level is medium, not low"),
        ("  - {name: north", "  # {name: north", "at least 80 % are needed"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(engine: Engine, three: People, old: str, new: str, told: str) -> None:
    save_draft(Context(engine, three[0]), document().replace(old, new))
    with pytest.raises(InvalidRulesetError, match=f"(?s)the draft of retail, revision 1, is not valid:.*{told}"):
        commit(Context(engine, three[0]), "retail", 1)
    with pytest.raises(InvalidRulesetError):
        commit(Context(engine, three[0]), "retail", 1, "somebody says that it is fine")
    assert rows_of(engine, RulesetVersion) == []
    assert len(rows_of(engine, Draft)) == 1


def test_doubts_are_accepted_with_a_reason_and_stay_with_the_version(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), DOUBTFUL)
    with pytest.raises(
        InvalidRulesetError, match=r"(?s)no written rationale.*accept_warnings: is empty; say why"
    ) as told:
        commit(Context(engine, three[0]), "retail", 1)
    assert [finding.fatal for finding in told.value.findings] == [False, True]
    with pytest.raises(ConfigError, match="accept_warnings must say why"):
        commit(Context(engine, three[0]), "retail", 1, "  ")
    commit(Context(engine, three[0]), "retail", 1, "Income speaks for itself")
    kept = rows_of(engine, RulesetVersion)[0]["tests"]
    assert kept["warnings_accepted"] == "Income speaks for itself"
    assert [warning.partition(": ")[2] for warning in kept["warnings"]] == ["rule income: has no written rationale"]


def test_where_there_are_no_doubts_none_are_accepted(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), document())
    commit(Context(engine, three[0]), "retail", 1, "just in case")
    assert rows_of(engine, RulesetVersion)[0]["tests"]["warnings_accepted"] == ""


def test_only_what_is_there_is_committed(engine: Engine, three: People) -> None:
    other = founded(engine, "other")[0]
    save_draft(Context(engine, three[0]), document())
    for actor, family in ((three[0], "nothing"), (other, "retail")):
        with pytest.raises(NotFoundError, match=f"there is no ruleset '{family}'"):
            commit(Context(engine, actor), family, 1)
    commit(Context(engine, three[0]), "retail", 1)
    with pytest.raises(NotFoundError, match="there is no draft of retail"):
        commit(Context(engine, three[0]), "retail", 1)


def test_a_commit_is_recorded(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), document())
    before = len(rows_of(engine, AuditEntry))
    made = commit(Context(engine, three[1]), "retail", 1)
    told = {"ruleset": "retail", "version": 1, "content_hash": made.content_hash}
    assert audited(engine)[before:] == [("member:2", "ruleset.committed", "1", told)]
    assert verify(engine, print).entries == before + 1


def test_of_two_who_commit_at_once_one_is_told(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> People:
        three = prepared(engine)
        save_draft(Context(engine, three[0]), document())
        return three

    made = together(
        kind,
        tmp_path,
        prepare,
        *(
            lambda engine, three, number=number: commit(Context(engine, three[number]), "retail", 1)
            for number in range(3)
        ),
    )
    found = sorted(type(each).__name__ for each in made)
    assert found.count("Committed") == 1
    assert set(found) <= {"Committed", "ConflictError", "NotFoundError"}


def test_a_version_is_never_changed_by_what_comes_after(engine: Engine, three: People) -> None:
    ana, ben, _ = three
    save_draft(Context(engine, ana), document())
    commit(Context(engine, ana), "retail", 1)
    before = rows_of(engine, RulesetVersion)
    save_draft(Context(engine, ben), document(medium=25))
    put_list_version(Context(engine, ben).at(NOW), "watched", 1, ["IR", "MM"], "Watched", "our own")
    change_settings(Context(engine, ben), retention_days=1)
    commit(Context(engine, ben), "retail", 2)
    assert rows_of(engine, RulesetVersion)[:1] == before


def test_versions_are_made_in_one_place_and_changed_in_none() -> None:
    root = Path(__file__).parents[3]
    sources = {
        path: path.read_text()
        for room in ("cli", "serving", "store", "usecases")
        for path in root.glob(f"{room}/**/*.py")
    }
    assert [path.name for path, text in sources.items() if "RulesetVersion(\n" in text] == ["commit.py"]
    changing = re.compile(r"(update|delete)\((RulesetVersion|version)\b|\bversion\.(\w+) = |UPDATE ruleset_versions")
    assert not [(path.name, found[0]) for path, text in sources.items() if (found := changing.search(text))]
