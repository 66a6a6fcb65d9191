"""What ships can be read, and a folder of one's own takes the place of it, list by list."""

from pathlib import Path

import pytest

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.usecases.flows.asked_files import flow_text
from fivefold.usecases.portfolio_files.bundled import (
    bundled_lists,
    bundled_ruleset,
    bundled_rulesets,
    bundled_text,
    group_text,
    lists_with,
    load_ruleset,
)

OWN = """
list: {name}
title: Of our own
source: our policy
versions:
  - since: 2020-01-01
    members: [XX]
"""


def test_a_ruleset_goes_by_the_name_of_its_file() -> None:
    assert [bundled_ruleset(name).name for name in bundled_rulesets()] == list(bundled_rulesets())
    assert f"ruleset: {bundled_rulesets()[0]}" in bundled_text(bundled_rulesets()[0])


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no ruleset named fatf ships; there are eu-bank-weighted, fatf-retail"):
        bundled_text("fatf")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"\(eu-bank-weighted, .*\); perhaps fatf-retail was meant$"):
        load_ruleset("fatf-retial")
    with pytest.raises(ConfigError, match=r"; perhaps fatf-retail was meant$"):
        bundled_text("fatf_retail")
    with pytest.raises(ConfigError, match=r"; perhaps limits was meant$"):
        flow_text("limts")
    with pytest.raises(ConfigError, match=r"; perhaps watched-closely was meant$"):
        group_text("watched-closly")


def test_a_list_goes_by_the_name_inside() -> None:
    assert {name: read.name for name, read in bundled_lists().items()} == {name: name for name in bundled_lists()}


def test_without_a_folder_there_is_what_ships() -> None:
    assert lists_with(None) == bundled_lists()


def test_a_list_of_the_folder_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "any-name.yaml").write_text(OWN.format(name="eea"))
    (tmp_path / "another.yml").write_text(OWN.format(name="ours"))
    (tmp_path / "notes.txt").write_text("no list")
    found = lists_with(tmp_path)
    assert found["eea"].versions[-1].members == ("XX",)
    assert len(found["eea"].versions) == 1
    assert set(found) == {*bundled_lists(), "ours"}


def test_a_list_stands_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(OWN.format(name="ours"))
    (tmp_path / "b.yaml").write_text(OWN.format(name="ours"))
    with pytest.raises(InvalidRulesetError, match=r"b\.yaml[\s\S]*list ours: is in a\.yaml as well"):
        lists_with(tmp_path)


def test_a_file_that_is_no_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("list: ours\n")
    with pytest.raises(InvalidRulesetError, match=r"wrong\.yaml[\s\S]*versions: is missing"):
        lists_with(tmp_path)


def test_a_member_that_looks_like_another_text_and_matches_none_is_refused(tmp_path: Path) -> None:
    document = 'list: own\ntitle: t\nsource: s\nversions: [{since: 2020-01-01, members: ["KP ", IR, "MM\\u200b"]}]\n'
    (tmp_path / "own.yaml").write_text(document)
    with pytest.raises(InvalidRulesetError) as refused:
        lists_with(tmp_path)
    assert [finding.problem for finding in refused.value.findings] == [
        "'KP ' is a member with white space around it; it must have none",
        "'MM\\u200b' is a member with the control character U+200B; it must have none",
    ]


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("list: españa".encode("latin-1"))
    with pytest.raises(InvalidRulesetError, match=r"latin\.yaml is not valid:\nline 1: the text: is not text in UTF-8"):
        lists_with(tmp_path)


def test_a_folder_must_be_there_and_hold_something(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a folder of lists"):
        lists_with(tmp_path / "none")
    with pytest.raises(ConfigError, match="has no list"):
        lists_with(tmp_path)


def test_a_name_that_ships_is_a_ruleset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_ruleset("fatf-retail").ruleset.name == "fatf-retail"


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fatf-retail").write_text("not a ruleset")
    with pytest.raises(Exception, match="must be a mapping"):
        load_ruleset("fatf-retail")


def test_neither_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a file nor a bundled ruleset"):
        load_ruleset("nothing")


@pytest.mark.parametrize(
    ("content", "what"), [(b"\xff\xfe\x00", "UTF-16"), (b"PAR1\xff", "Parquet"), (b"PK\x03\x04\xff", "workbook")]
)
def test_text_that_is_none_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidRulesetError, match=f"not text in UTF-8; it is .*{what}"):
        load_ruleset(str(path))
