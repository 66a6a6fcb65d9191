"""What an indicator declares, and the fingerprint of a catalogue."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fivefold.domain.errors import ConfigError, FingerprintMismatchError
from fivefold.features.catalogue.indicator import Catalogue, code_of, collect, indicator
from fivefold.features.indicators import CATALOGUE
from tests.features.modules import INDICATORS, load

Load = Callable[[str], Catalogue]


@pytest.fixture
def catalogue_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Make the catalogue that a text declares; each in a folder of its own, for Python remembers sources by path."""
    folders = iter(tmp_path / str(number) for number in range(100))

    def of_text(text: str) -> Catalogue:
        return collect(load(text, next(folders), monkeypatch))

    return of_text


def test_one_declaration_makes_an_indicator_for_each_window_and_variant(catalogue_of: Load) -> None:
    catalogue = catalogue_of(INDICATORS)
    assert catalogue.names == ("doubled_30d", "doubled_all", "deposit_share_50")
    first, second, third = catalogue.indicators
    assert (first.window_days, second.window_days) == (30, None)
    assert first.meaning == "Twice the number of events in the last 30 days."
    assert second.meaning == "Twice the number of events in all history."
    assert third.parameters == ("kind", "percent")
    assert dict(third.constants) == {"percent": 50}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    count = 0\n", "    # A comment.\n    count = 0  # and one more\n\n"),
        ('"""Two indicators."""', '"""A catalogue for tests."""'),
        ('"""Share of deposits."""', '"""Share of the deposits.\n\n    among all events.\n    """'),
        (
            "return _FACTOR * (len(kind) - first_row)",
            "return (\n        _FACTOR\n        * (len(kind) - first_row)\n    )",
        ),
        ("kind[i] == DEPOSIT", "(kind[i]) == (DEPOSIT)"),
        ('family="volume")\ndef doubled', 'family="rhythm")\ndef doubled'),
    ],
)
def test_wording_and_layout_do_not_change_the_fingerprint(catalogue_of: Load, old: str, new: str) -> None:
    assert INDICATORS.count(old) == 1
    changed = catalogue_of(INDICATORS.replace(old, new)).fingerprint
    assert changed == catalogue_of(INDICATORS).fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_FACTOR = 2.0", "_FACTOR = 2.5"),
        ("windows=(30, None)", "windows=(31, None)"),
        ("windows=(30, None)", "windows=(None, 30)"),
        ("windows=(30, None)", "windows=(30,)"),
        ('"percent": 50', '"percent": 51'),
        ("empty=0.0", "empty=nan"),
        ('unit="count"', 'unit="ratio"'),
        ('"doubled_{window}"', '"twofold_{window}"'),
        ("count += 1", "count += 2"),
        ("kind[i] == DEPOSIT", "kind[i] >= DEPOSIT"),
        ("len(kind) - first_row", "len(kind) - first_row + 0"),
    ],
)
def test_everything_that_makes_a_value_changes_the_fingerprint(catalogue_of: Load, old: str, new: str) -> None:
    assert INDICATORS.count(old) == 1
    changed = catalogue_of(INDICATORS.replace(old, new)).fingerprint
    assert changed != catalogue_of(INDICATORS).fingerprint


def test_the_order_of_the_columns_changes_the_fingerprint() -> None:
    turned = Catalogue(CATALOGUE.indicators[::-1])
    fewer = Catalogue(CATALOGUE.indicators[1:])
    assert len({turned.fingerprint, fewer.fingerprint, CATALOGUE.fingerprint}) == 3


@pytest.mark.parametrize(
    "name", ["fivefold.features.schema", "fivefold.features.catalogue.statistics", "fivefold.features.indicators.trend"]
)
def test_shared_code_changes_the_fingerprint(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = CATALOGUE.fingerprint
    changed = lambda thing: code_of(thing) + ("\npass" if thing.__name__ == name else "")  # noqa: E731 (one line)
    monkeypatch.setattr("fivefold.features.catalogue.indicator.code_of", changed)
    assert Catalogue(CATALOGUE.indicators).fingerprint != before


def test_the_fingerprint_is_the_same_in_another_process(tmp_path: Path) -> None:
    import subprocess
    import sys

    text = "from fivefold.features.indicators import CATALOGUE; print(CATALOGUE.fingerprint)"
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", text],
            env={"PYTHONHASHSEED": seed, "FIVEFOLD_VAR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == CATALOGUE.fingerprint


def test_another_fingerprint_is_refused_by_name() -> None:
    CATALOGUE.require(CATALOGUE.fingerprint, "the model")
    with pytest.raises(
        FingerprintMismatchError, match=r"^models:/value/7 was trained on other indicators \(catalogue 0123"
    ):
        CATALOGUE.require("0123456789abcdef", "models:/value/7")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def doubled(kind, first_row)", "def doubled(kind, first_rows)", "doubled_30d asks for first_rows; there are"),
        ('unit="count"', 'unit="pieces"', "has the unit 'pieces'; allowed: days, money"),
        ('family="volume")\ndef doubled', 'family="size")\ndef doubled', "has the family 'size'; allowed: recency"),
        ("events {window}.", "events {window}", "doubled_30d has no meaning"),
        ('    """Share of deposits."""\n', "", "deposit_share_50 has no meaning"),
        ('"doubled_{window}"', '"doubled"', "declared more than once: doubled"),
        ('"deposit_share_{percent}"', '"doubled_all"', "declared more than once: doubled_all"),
    ],
)
def test_a_wrong_declaration_is_refused(catalogue_of: Load, old: str, new: str, message: str) -> None:
    assert INDICATORS.count(old) == 1
    with pytest.raises(ConfigError, match=message):
        catalogue_of(INDICATORS.replace(old, new))


def test_two_functions_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel would call one of them for both."""
    first = load(INDICATORS, tmp_path, monkeypatch, "first_of_two")
    second = load(INDICATORS.replace('("d', '("other_d'), tmp_path, monkeypatch, "second_of_two")
    with pytest.raises(ConfigError, match="both have a function doubled"):
        collect(first, second)


def test_the_family_is_the_name_of_the_module() -> None:
    @indicator("nothing", unit="count", empty=0.0)
    def nothing() -> float:
        """Nothing."""
        return 0.0

    assert nothing.indicators[0].family == "test_indicator"
    assert nothing() == 0.0  # the function itself is left as it was


def test_helpers_of_the_modules_are_not_indicators() -> None:
    assert not [made.name for made in CATALOGUE.indicators if made.function.__name__.startswith("_")]
    assert len(set(CATALOGUE.names)) == len(CATALOGUE.names)
