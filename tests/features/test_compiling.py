"""Compiled modules on disk: named by all that they are made of, compiled once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from domain import settings
from features import compiling, loops
from features.compiling import compiled_loops, key_of, module_of


def test_the_key_covers_text_sources_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key_of("a"), key_of("b"), key_of("a", ("b",))]
    monkeypatch.setattr(compiling.np, "__version__", "0.0")
    assert len({*keys, key_of("a")}) == 4


def test_a_module_is_written_once_and_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    assert module_of("made", "FOUND = 5\n").FOUND == 5
    (path,) = (tmp_path / "kernels").glob("made_*.py")
    before = path.stat().st_mtime_ns
    assert module_of("made", "FOUND = 5\n").FOUND == 5
    assert path.stat().st_mtime_ns == before


def test_threads_that_need_the_same_module_at_once_all_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    threads, texts = 8, [f"FOUND = {number}\n" for number in range(30)]
    together = Barrier(threads)

    def ask(text: str) -> int:
        together.wait()
        found: int = module_of("shared", text).FOUND
        return found

    with ThreadPoolExecutor(threads) as pool:
        for number, text in enumerate(texts):
            assert list(pool.map(ask, [text] * threads)) == [number] * threads
    kept = [path.name for path in (tmp_path / "kernels").iterdir() if path.is_file()]
    assert len(kept) == len(texts)
    assert all(name.endswith(".py") for name in kept)


def test_loops_are_compiled_once_and_loaded_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    first = compiled_loops.__wrapped__(loops)
    again = compiled_loops.__wrapped__(loops)
    for made in (first, again):
        assert made.read_plain_numbers(np.array([1.0]), 2.0, np.empty(1))
    assert sum(first.disorder.stats.cache_misses.values()) == 1
    assert sum(again.disorder.stats.cache_hits.values()) == 1
    assert {made.__name__ for made in (first, again)} == {again.__name__}
