"""Compiled modules on disk: named by all that they are made of, compiled once."""

import importlib
import linecache
import os
import py_compile
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from fivefold.domain import settings
from fivefold.domain.errors import ConfigError
from fivefold.features import numba_cache as compiling
from fivefold.features.numba_cache import cache_key, cached_module, compile_loops
from fivefold.features.reading import compiled_loops as loops


def test_the_key_covers_text_sources_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [cache_key("a"), cache_key("b"), cache_key("a", ("b",))]
    monkeypatch.setattr(compiling.np, "__version__", "0.0")
    assert len({*keys, cache_key("a")}) == 4


def test_a_module_is_written_once_and_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    (path,) = (tmp_path / "kernels").glob("made_*.py")
    before = path.stat().st_mtime_ns
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    assert path.stat().st_mtime_ns == before


def test_threads_that_need_the_same_module_at_once_all_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    threads, texts = 8, [f"FOUND = {number}\n" for number in range(30)]
    together = Barrier(threads)

    def ask(text: str) -> int:
        together.wait()
        found: int = cached_module("shared", text).FOUND
        return found

    with ThreadPoolExecutor(threads) as pool:
        for number, text in enumerate(texts):
            assert list(pool.map(ask, [text] * threads)) == [number] * threads
    kept = [path.name for path in (tmp_path / "kernels").iterdir() if path.is_file() and path.name != ".lock"]
    assert len(kept) == 2 * len(texts)
    assert all(name.endswith((".py", ".sha256.json")) for name in kept)


def test_what_another_wrote_into_the_cache_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytecode, Numba's pickles and the text itself: what is not as it was compiled is compiled again."""
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    (path,) = (tmp_path / "kernels").glob("made_*.py")
    path.write_text("FOUND = 6\n")
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    evil = tmp_path / "evil.py"
    evil.write_text("FOUND = 7\n")
    bytecode = Path(cache_from_source(str(path)))
    bytecode.parent.mkdir(exist_ok=True)
    stamp = path.stat()
    os.utime(evil, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    py_compile.compile(str(evil), cfile=str(bytecode), dfile=str(path))
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    planted = bytecode.with_name(f"{path.stem}.found-1.py311.nbi")
    planted.write_bytes(b"a pickle that runs something")
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    assert not planted.exists()


@pytest.mark.parametrize("planted_as", ["another account's", "writable for everybody", "a link"])
def test_what_was_planted_while_the_folder_was_open_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted_as: str
) -> None:
    """Whoever could write there once has put bytecode of their own, and hashes that fit it, beside the text."""
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path / "var"))
    assert cached_module("made", "FOUND = 5\n").FOUND == 5
    kernels = tmp_path / "var" / "kernels"
    (path,) = kernels.glob("made_*.py")
    evil, bytecode = tmp_path / "evil.py", Path(cache_from_source(str(path)))
    evil.write_text("FOUND = 7\n")
    stamp = path.stat()
    os.utime(evil, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    py_compile.compile(str(evil), cfile=str(bytecode), dfile=str(path))
    compiling._record_sums(path)
    if planted_as == "a link":
        bytecode.rename(tmp_path / "elsewhere")
        bytecode.symlink_to(tmp_path / "elsewhere")
    elif planted_as == "writable for everybody":
        bytecode.chmod(0o666)
    else:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file to another account")
        for each in (bytecode, path.with_suffix(".sha256.json")):
            os.chown(each, 12345, -1)
    assert cached_module("made", "FOUND = 5\n").FOUND == 5


def test_the_cache_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path / "var"))
    cached_module("made", "FOUND = 5\n")
    for folder in (tmp_path / "var", tmp_path / "var" / "kernels"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_lock_that_cannot_be_written_names_the_variable_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    lock = tmp_path / "kernels" / ".lock"
    lock.mkdir(parents=True)
    with pytest.raises(
        ConfigError, match=rf"^{lock} cannot be made \(.*\); FIVEFOLD_VAR must name a folder that can be"
    ):
        cached_module("made", "FOUND = 5\n")


@pytest.mark.full
def test_loops_are_compiled_once_and_loaded_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path))
    first = compile_loops.__wrapped__(loops)
    again = compile_loops.__wrapped__(loops)
    for made in (first, again):
        assert made.read_plain_numbers(np.array([1.0]), 2.0, np.empty(1))
    assert sum(first.disorder.stats.cache_misses.values()) == 1
    assert sum(again.disorder.stats.cache_hits.values()) == 1
    assert {made.__name__ for made in (first, again)} == {again.__name__}


def test_loops_are_compiled_again_where_a_function_that_they_import_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path / "var"))
    monkeypatch.syspath_prepend(tmp_path)
    loops_text = (
        "from shared_step import step\n\nSIGNATURES = {'add': 'int64(int64)'}\n\n\ndef add(n):\n    return step(n)\n"
    )
    results = []
    for size in (1, 2):
        (tmp_path / "shared_step.py").write_text(f"def step(n):\n    return n + {size}  # {'x' * size}\n")
        (tmp_path / "own_loops.py").write_text(loops_text)
        for name in ("shared_step", "own_loops"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        linecache.clearcache()
        results.append(compile_loops.__wrapped__(importlib.import_module("own_loops")).add(5))
    assert results == [6, 7]


OWNERS = """
from numba import int64
from numba.core import cgutils
from numba.extending import intrinsic

SIGNATURES = {"note_owners": "int64(Array(int64,1,'C',True), Tuple((int64, int64[:,::1])))"}


@intrinsic
def owner(_, array):
    def generate(context, builder, _, arguments):
        view = cgutils.create_struct_proxy(array)(context, builder, value=arguments[0])
        return builder.ptrtoint(view.meminfo, context.get_value_type(int64))

    return int64(array), generate


def note_owners(values, pair):
    number, table = pair
    table[1, 1] = values[number]
    return owner(values) + owner(table)
"""


def test_compiled_loops_are_lent_their_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array has no owner there whose references are counted: that took longer than to read a request's body."""
    (tmp_path / "lent_loops.py").write_text(OWNERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path / "var"))
    compiled = compile_loops.__wrapped__(importlib.import_module("lent_loops"))
    values, table = np.arange(3), np.arange(4).reshape(2, 2)
    references = sys.getrefcount(values), sys.getrefcount(table)
    assert compiled.note_owners(values, (2, table)) == 0
    assert table.tolist() == [[0, 1], [2, 2]]
    assert (sys.getrefcount(values), sys.getrefcount(table)) == references


RETURNS_ITS_ARRAY = """
SIGNATURES = {"first": "Tuple((int64, int64[::1]))(int64[::1])"}


def first(values):
    return values[0], values
"""


def test_a_loop_that_returns_an_array_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lent array has no owner, so its memory could be freed while the result is still read."""
    (tmp_path / "returning_loops.py").write_text(RETURNS_ITS_ARRAY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(settings.VARIABLE_VAR, str(tmp_path / "var"))
    with pytest.raises(AssertionError, match=r"returning_loops.first may not return Tuple"):
        compile_loops.__wrapped__(importlib.import_module("returning_loops"))
