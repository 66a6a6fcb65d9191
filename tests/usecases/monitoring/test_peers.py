"""A peer's figures beside a validation: kept as the file was, with who and when, and compared as the command does."""

import json
from hashlib import sha256

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.risk.governance.validate import measures
from fivefold.risk.governance.validate.measures import Measure
from fivefold.risk.governance.validate.peers import SEVERAL, independent_difference, read_peer_text
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import PeerFile
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.monitoring import peers
from fivefold.usecases.monitoring.page import validation_sections
from fivefold.usecases.monitoring.peers import attach_peer, list_peers, own_figures
from fivefold.usecases.monitoring.series import sign_off_validation
from fivefold.usecases.monitoring.validate import Validated, validate_levels
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.governed import organisation, people
from tests.usecases.planted import Planted, day, fill, planted

NOW = platforms.NOW
NORTH = json.dumps(
    {
        "name": "North Bank",
        "gini": {"estimate": 0.5, "low": 0.4, "high": 0.6},
        "level_gini": 0.4,
        "captured": {"hits": 40, "of": 50},
        "missed": {"hits": 10, "of": 50},
    }
)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    fill(made, 3, 60)
    return made


def validated(bank: Planted) -> Validated:
    return validate_levels(bank.context.at(NOW), day(0), day(90), "a quarter", resamples=50)


def kept(engine: Engine) -> list[PeerFile]:
    with Session(engine) as session:
        return list(session.scalars(select(PeerFile)))


@pytest.mark.postgresql
def test_the_file_is_kept_with_who_when_and_its_hash_and_recorded_once(bank: Planted) -> None:
    number = validated(bank).id
    before = verify(bank.engine, lambda _: None).findings
    made, is_new = attach_peer(bank.context.at(NOW + 5), number, "folder/north.json", NORTH)
    again, is_new_again = attach_peer(bank.context.at(NOW + 9), number, "other.json", NORTH)
    assert (is_new, is_new_again, again) == (True, False, made)
    hashed = sha256(NORTH.encode()).hexdigest()
    assert (made.peer, made.file, made.content_hash, made.attached_us) == ("North Bank", "north.json", hashed, NOW + 5)
    assert made.attached_by == bank.context.actor.name
    assert list_peers(bank.context, number) == [made]
    assert [row.content for row in kept(bank.engine)] == [NORTH]
    with Session(bank.engine) as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "validation.peer_attached"))
    assert (entry.subject_kind, entry.subject_id) == ("validation", str(number))
    assert json.loads(entry.details) == {"peer": "North Bank", "file": "north.json", "sha256": hashed}
    assert verify(bank.engine, lambda _: None).findings == before


def test_figures_are_those_of_the_report_beside_those_of_the_file(
    bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "LEAST_CONFIRMED", 3)
    result = validated(bank)
    made, _ = attach_peer(bank.context.at(NOW), result.id, "north.json", NORTH)
    overall, theirs = result.report["groups"][0], read_peer_text(NORTH, "f").figures
    own = {"gini": overall["ranked"]["gini"], "captured": overall["caught"]["captured"]}
    lines = {line.figure: line for line in made.figures}
    for name, plain in own.items():
        mine = Measure(**plain).interval
        assert mine is not None
        assert (lines[name].own, lines[name].peer) == (mine, theirs[name])
        assert lines[name].difference == independent_difference(mine, theirs[name])
    assert lines["level_gini"].difference is None, "a figure without an interval has no difference"
    titles = [section.title for section in validation_sections(1, "why", result.report, [made.comparison]).sections]
    assert "Beside the figures of North Bank" in titles
    assert not [title for title in titles if "Beside" in title and "North" not in title]


def test_shares_and_conversion_are_compared_by_level_and_what_cannot_be_says_why(
    bank: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "LEAST_CONFIRMED", 3)
    result = validated(bank)
    levels = {level["level"]: level for level in result.report["groups"][0]["levels"]}
    share = {"hits": 10, "of": 100}
    north = {"name": "North", "shares": {"low": share, "severe": share}, "conversion": {"high": share, "medium": 0.2}}
    made, _ = attach_peer(bank.context.at(NOW), result.id, "north.json", json.dumps(north))
    lines = {line.figure: line for line in made.figures}
    ended = sum(level["ended"] for level in levels.values())
    assert lines["shares.low"].own.estimate == levels["low"]["ended"] / ended
    assert lines["shares.low"].difference is not None
    gaps = {gap.figure: gap.why for gap in made.not_compared}
    assert gaps["shares.severe"] == "no level has the name severe here"
    assert {*lines, *gaps} == {"shares.low", "shares.severe", "conversion.high", "conversion.medium"}
    for name in ("high", "medium"):
        conversion = Measure(**levels[name]["conversion"])
        figure = f"conversion.{name}"
        if conversion.interval is None:
            assert gaps[figure] == f"too few here: {conversion.of}, where 50 are needed"
        else:
            assert lines[figure].own == conversion.interval
    sections = validation_sections(1, "why", result.report, [made.comparison]).sections
    table = next(section.table for section in sections if section.title == "Beside the figures of North")
    assert table is not None
    assert ["share of the level severe", "not compared"] in [row[:2] for row in table.rows]
    shown = next(section.table for section in sections if section.title == "Levels and alerts, all")
    assert shown is not None
    assert shown.columns[-2:] == ["of all alerts opened", "of all confirmed"]


def test_of_several_rulesets_there_is_no_gini_of_the_total() -> None:
    measured = {"of": 60, "answer": "measured", "estimate": 0.5, "low": 0.4, "high": 0.6}
    few = {"of": 3, "answer": "too few", "estimate": None, "low": None, "high": None}
    overall = {
        "ruleset": None,
        "ranked": {"gini": measured, "level_gini": measured},
        "caught": {"captured": measured, "missed": few},
        "levels": [],
    }
    one = [overall, {"ruleset": "retail"}, {"ruleset": "retail"}]
    assert {name for name, figure in own_figures(one).items() if not isinstance(figure, str)} == {
        "gini", "level_gini", "captured",
    }  # fmt: skip
    assert own_figures([*one, {"ruleset": "companies"}])["gini"] == SEVERAL
    of_before = own_figures([{**overall, "ranked": {"gini": few}}])
    assert of_before["level_gini"] == "it was not measured then"
    assert of_before["gini"] == "too few here: 3, where 50 are needed"


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("north.json", "{", "north.json cannot be read as JSON"),
        ("north.json", "[" * 100_000, "north.json cannot be read as JSON"),
        ("north.json", "[]", "north.json holds no figures"),
        ("north.json", '{"name": "North"}', "north.json has no figure to compare with"),
        ("north.json", '{"gini": 0.5, "captued": 0.5}', "'captued' .perhaps captured is meant"),
        ("north.json", '{"shares": 0.5}', "shares must be a mapping of levels"),
        ("north.json", '{"gini": NaN}', "it must lie in its interval"),
        ("north.json", '{"gini": 3}', "it must lie in its interval"),
        ("north.json", '{"gini": 1' + 400 * "0" + "}", "gini is not a figure"),
        ("north.json", '{"missed": {"hits": 1, "of": 1' + 400 * "0" + "}}", "are not counts"),
        ("north.json", '{"missed": {"hits": "\\ud800", "of": 1}}', "are not counts"),
        ("north.json", '{"gini": 0.5, "name": "' + 201 * "N" + '"}', "the name of the peer"),
        ("north.json", '{"gini": 0.5, "name": "\\u0000"}', "the name of the peer"),
        ("", '{"gini": 0.5}', "the file must have a name"),
        ("north.json", '{"gini": 0.5}' + " " * peers.MOST_BYTES, "more than 256,000 bytes"),
    ],
)
def test_what_holds_no_figures_is_refused_and_nothing_is_kept(
    bank: Planted, file: str, content: str, problem: str
) -> None:
    number = validated(bank).id
    with pytest.raises(ConfigError, match=problem):
        attach_peer(bank.context.at(NOW), number, file, content)
    assert kept(bank.engine) == []


def test_beside_what_was_signed_off_nothing_is_put_any_more(bank: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    number = validated(bank).id
    made, _ = attach_peer(bank.context.at(NOW), number, "north.json", NORTH)
    monkeypatch.setattr(peers, "MOST_PEERS", 1)
    with pytest.raises(ConflictError, match="has 1 peers, and 1 at most"):
        attach_peer(bank.context.at(NOW), number, "south.json", '{"gini": 0.5}')
    monkeypatch.undo()
    other = people(bank.actor.organisation_id)[2]
    sign_off_validation(Context(bank.engine, other).at(NOW), number, "fit")
    with pytest.raises(ConflictError, match="was signed off: no peer is put beside it any more"):
        attach_peer(bank.context.at(NOW), number, "south.json", '{"gini": 0.5}')
    assert list_peers(bank.context, number) == [made]


def test_another_organisation_sees_and_attaches_none(bank: Planted) -> None:
    number = validated(bank).id
    stranger = Context(bank.engine, people(organisation(bank.engine, "other"))[0]).at(NOW)
    for ask in (lambda: list_peers(stranger, number), lambda: attach_peer(stranger, number, "n.json", NORTH)):
        with pytest.raises(NotFoundError):
            ask()
    assert kept(bank.engine) == []
