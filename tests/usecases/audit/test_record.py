"""What use cases record, how it is listed and shown, and heads that are kept elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Part
from fivefold.store.audit.chain import digest_of
from fivefold.store.audit.log import entries
from fivefold.usecases.accounts.organisations import actor_in
from fivefold.usecases.audit import record as audit
from fivefold.usecases.audit.record import ExportedHeads, export_heads, list_entries, read_heads
from fivefold.usecases.audit.search import list_entries as entries_without_values
from fivefold.usecases.shared import context
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, record
from tests.store.audits import fill, organisation

pytestmark = pytest.mark.postgresql


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(audit, "now_microseconds", lambda: 77)
    monkeypatch.setattr(context, "now_microseconds", lambda: 77)
    return 77


def test_a_record_says_who_did_what_to_which_and_when(engine: Engine, now: int) -> None:
    of = organisation(engine, "acme")
    with Session(engine) as session, session.begin():
        record(session, Actor(of, "cli:ana"), "token.revoked", ("token", 7), before={"a": 1}, details={"why": "lost"})
        record(session, Actor(of, "system"), "thing.imported", ("thing", None), bulk=(3, digest_of("abc")))
    with Session(engine) as session:
        one, many = entries(session, of)
        assert (one.at_us, one.actor, one.action) == (now, "cli:ana", "token.revoked")
        assert (one.subject_kind, one.subject_id, one.details) == ("token", "7", '{"why":"lost"}')
        assert one.before_hash is not None
        assert one.after_hash is many.before_hash is many.subject_id is one.bulk_count is one.bulk_digest is None
        assert (many.actor, many.bulk_count, many.bulk_digest) == ("system", 3, digest_of("abc"))
    assert [(line.subject, line.details) for line in list_entries(engine, 9)] == [
        ("token 7", '{"why":"lost"}'),
        ("thing × 3", "{}"),
    ]


def test_the_latest_entries_are_listed_without_values(engine: Engine) -> None:
    fill(engine, "one", 4)
    fill(engine, "two", 2)
    assert [(line.organisation, line.number) for line in list_entries(engine, 3)] == [
        ("two", 2),
        ("one", 3),
        ("one", 4),
    ]
    (line,) = list_entries(engine, 1, "two")
    assert (line.actor, line.action, line.subject, line.at_us) == ("cli:ana", "thing.done", "thing 7", 1_001)
    assert "Anna" not in repr(list_entries(engine, 9))


def test_heads_are_written_and_read_again(engine: Engine, tmp_path: Path, now: int) -> None:
    last = [fill(engine, name, count)[-1] for name, count in (("Zoë", 3), ("two", 1))]
    organisation(engine, "silent")
    path = tmp_path / "heads.json"
    exported = export_heads(engine, path)
    assert read_heads(path) == exported
    assert exported.exported_us == now
    assert [(head.organisation, head.number, head.hash) for head in exported.heads] == [
        ("Zoë", 3, last[0].hash),
        ("two", 1, last[1].hash),
    ]
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".json"] == ["heads.json"]


def test_heads_of_an_empty_log_are_none(engine: Engine, tmp_path: Path) -> None:
    assert export_heads(engine, tmp_path / "heads.json").heads == ()


HEAD = {"organisation_id": 1, "organisation": "a", "number": 1, "hash": "0" * 64}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ({"heads": []}, "exported_us: Field required"),
        ({"exported_us": 1, "heads": [HEAD, {**HEAD, "hash": "x"}]}, "heads: 1: hash: String should match"),
        ({"exported_us": 1, "heads": [{**HEAD, "number": -1}]}, "heads: 0: number: Input should be greater"),
        ({"exported_us": 1, "heads": [], "other": 1}, "other: Extra inputs"),
    ],
)
def test_a_file_that_holds_no_heads_is_told_with_its_fault(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "heads.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"heads.json does not hold heads as `fivefold audit heads` writes.*{words}"):
        read_heads(path)


def test_exported_heads_are_the_whole_file() -> None:
    assert ExportedHeads.model_validate({"exported_us": 1, "heads": [HEAD]}).heads[0].number == 1


def test_a_page_shows_what_was_done_and_no_values(engine: Engine) -> None:
    made = fill(engine, "ours", 5)
    fill(engine, "theirs", 1)
    actor = actor_in(engine, "ours", "cli:ana")
    page = entries_without_values(Context(engine, actor), Part(10))
    assert [(line.number, line.hash) for line in page] == [(each.number, each.hash) for each in made[::-1]]
    assert [line.bulk_count for line in page] == [None, 2, None, None, None]
    assert page[-1].details == {"plan": "trial"}
    assert "Zoë" not in repr(page)
    assert [line.number for line in entries_without_values(Context(engine, actor), Part(2, (3,)))] == [2, 1]
