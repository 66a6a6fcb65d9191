"""The compiled walk: its cache, and that it refuses to read out of bounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.extending import register_jitable

from fivefold.features import numba_cache as compiling
from fivefold.features.catalogue import kernel
from fivefold.features.catalogue.indicator import Catalogue, Indicator, collect
from fivefold.features.catalogue.kernel import Walk, compile_walk, walk_source
from fivefold.features.indicator_matrix import warm
from fivefold.features.indicators import CATALOGUE
from fivefold.features.numba_cache import cache_key
from tests.depth import some
from tests.features.modules import INDICATORS, load
from tests.features.oracle.walks import bounds_checked, interpreted

HELPER = """
from numba.extending import register_jitable
SCALE = 3.0
@register_jitable
def scaled(value):
    return SCALE * value
"""
USES_HELPER = '''
from fivefold.features.catalogue.indicator import indicator
from made_helper import scaled

@indicator("events_scaled", unit="count", empty=0.0, family="volume")
def events_scaled(time):
    """Number of events, scaled."""
    return scaled(float(len(time)))
'''
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np, made_of_text
from fivefold.features.catalogue.indicator import collect
from fivefold.features.catalogue.kernel import compile_walk
from tests.features.catalogue.test_kernel import run
walk = compile_walk(collect(made_of_text))
out, _ = run(walk, 1)
print(json.dumps([out, sum(walk.stats.cache_hits.values()), sum(walk.stats.cache_misses.values())]))
"""


def run(walk: Walk, columns: int, rows: int = 4, used: int = 2) -> tuple[list[float], int]:
    """Walk over one customer's first *used* rows; the others lie right behind, where a careless read finds them."""
    time = np.arange(rows, dtype=np.int64)
    money = np.full(rows, 7.0)
    small, code = np.ones(rows, dtype=np.int8), np.zeros(rows, dtype=np.int16)
    offsets, as_ofs = np.array([0, rows]), np.array([used - 1])
    out, seen = np.empty((1, 1, columns)), np.empty((1, 1), dtype=np.int64)
    wanted = np.ones(columns, dtype=np.bool_)
    walk(offsets, time, money, money, small, code, small, time, as_ofs, wanted, out, seen)
    return out[0, 0].tolist(), int(seen[0, 0])


def key(catalogue: Catalogue) -> str:
    return cache_key(kernel._module_source(catalogue), kernel._sources(catalogue))


def only(function: object) -> Catalogue:
    return Catalogue((Indicator("made", "volume", "count", "Made.", 0.0, None, function),))


def changed_text(name: str) -> object:
    unchanged = kernel._text
    return lambda module: unchanged(module) + ("\n# changed" if module.__name__ == name else "")


@pytest.mark.parametrize("name", some(sorted(module.__name__ for module in kernel._depended_on(CATALOGUE)), 5))
def test_a_change_in_any_source_changes_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(CATALOGUE)
    monkeypatch.setattr(kernel, "_text", changed_text(name))
    assert key(CATALOGUE) != before


def test_the_key_covers_the_functions_and_all_that_they_import() -> None:
    covered = {module.__name__ for module in kernel._depended_on(CATALOGUE)}
    assert {
        "fivefold.domain.clock",
        "fivefold.features.schema",
        "fivefold.features.catalogue.statistics",
        "fivefold.features.indicators.trend",
    } <= covered
    assert covered >= {made.function.__module__ for made in CATALOGUE.indicators}


def test_a_change_of_the_walk_or_the_libraries_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key(CATALOGUE), key(Catalogue(CATALOGUE.indicators[::-1])), key(Catalogue(CATALOGUE.indicators[:-1]))]
    monkeypatch.setattr(compiling.numba, "__version__", "0.0")
    keys.append(key(CATALOGUE))
    monkeypatch.setattr(compiling.np, "__version__", "0.0")
    keys.append(key(CATALOGUE))
    assert len(set(keys)) == 5


def test_another_function_window_or_constant_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [INDICATORS]
    for old, new in (("count += 1", "count += 2"), ("(30, None)", "(31, None)"), ("_FACTOR = 2", "_FACTOR = 3")):
        texts.append(INDICATORS.replace(old, new))
    keys = {key(collect(load(text, tmp_path / str(n), monkeypatch))) for n, text in enumerate(texts)}
    assert len(keys) == len(texts)


def fresh(folder: Path, var: Path) -> tuple[list[float], int, int]:
    """Run in another process; give the values, and how often the cache was used and missed."""
    environment = {**os.environ, "FIVEFOLD_VAR": str(var)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    return tuple(json.loads(done.stdout))


@pytest.mark.full
def test_an_edited_helper_in_another_file_is_never_stale(tmp_path: Path) -> None:
    """Numba alone does not see such an edit (numba#1833)."""
    (tmp_path / "made_helper.py").write_text(HELPER)
    (tmp_path / "made_of_text.py").write_text(USES_HELPER)
    assert fresh(tmp_path, tmp_path / "var") == ([6.0], 0, 1)
    assert fresh(tmp_path, tmp_path / "var") == ([6.0], 1, 0)
    (tmp_path / "made_helper.py").write_text(HELPER.replace("3.0", "5.25"))
    assert fresh(tmp_path, tmp_path / "var") == ([10.5], 0, 1)


def test_a_fresh_process_loads_the_catalogue_without_compiling() -> None:
    warm()
    text = """
from fivefold.features.indicator_matrix import warm
stats = warm().stats
print(sum(stats.cache_hits.values()), len(stats.cache_misses))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


@pytest.mark.full
def test_the_cache_is_kept_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "deep" / "var"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # or Python keeps the source that it compiled there too
    catalogue = collect(load(INDICATORS, tmp_path, monkeypatch))
    walk = compile_walk(catalogue)
    assert run(walk, 3) == run(interpreted(catalogue), 3) == ([4.0, 4.0, 1.0], 2)
    files = sorted(path.suffix for path in (tmp_path / "deep" / "var" / "kernels").rglob("*") if path.is_file())
    assert files == ["", ".json", ".nbc", ".nbi", ".py"]  # nothing half-written is left, and nothing is anywhere else


def test_the_walk_names_every_indicator_in_order() -> None:
    lines = [line.strip() for line in walk_source(CATALOGUE).splitlines() if line.strip().startswith("out[")]
    assert [line.split(" = ")[0] for line in lines] == [f"out[c, s, {i}]" for i in range(len(CATALOGUE.indicators))]
    called = [line.split(" = ")[1].split("(")[0] for line in lines]
    assert called == [made.function.__name__ for made in CATALOGUE.indicators]


@register_jitable
def next_of(balance: np.ndarray) -> float:
    return balance[len(balance)]


def reads_past_the_end(balance: np.ndarray) -> float:
    return balance[len(balance)]


def reads_past_the_end_in_a_helper(balance: np.ndarray) -> float:
    return next_of(balance)


@pytest.mark.parametrize("function", [reads_past_the_end, reads_past_the_end_in_a_helper])
def test_a_read_of_the_future_is_caught(function: object) -> None:
    """Compiled without checks such a read finds the next row and leaks it; both guards must see it."""
    catalogue = only(function)
    with pytest.raises(IndexError):
        run(interpreted(catalogue), 1)
    with pytest.raises(IndexError):
        run(bounds_checked(catalogue), 1)


def test_the_switch_for_bounds_checks_is_put_back() -> None:
    from numba import config

    before = config.BOUNDSCHECK
    bounds_checked(only(reads_past_the_end))
    assert before == config.BOUNDSCHECK
