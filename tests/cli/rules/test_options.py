"""Which ruleset a command means."""

from pathlib import Path

import pytest

from fivefold.cli.rules.options import load_ruleset
from fivefold.domain.errors import ConfigError


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


def test_text_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        load_ruleset(str(path))
