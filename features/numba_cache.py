"""Compilation: generated modules under FIVEFOLD_VAR, named by a hash of all their sources and cached by Numba."""

import hashlib
import importlib.util
import inspect
import json
import logging
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import FunctionType, ModuleType

import numba
import numpy as np

from fivefold.domain.files import is_own_file, replacing
from fivefold.domain.settings import read_settings

log = logging.getLogger("fivefold.compiling")
COMPILING = "The indicators are compiled now, once on this machine and release: about half a minute."


def cached_module(prefix: str, text: str, sources: tuple[str, ...] = ()) -> ModuleType:
    """Import *text* as a module that is kept on disk; *sources* are the other texts that it depends on."""
    key = cache_key(text, sources)
    settings = read_settings()
    # The folder itself: functions are compiled from the file later too, when a link to the folder may be gone.
    path = settings.kernels.resolve() / f"{prefix}_{key}.py"
    with _ONE_AT_A_TIME:
        settings.protect_var()
        for folder in (settings.kernels, settings.kernels / "__pycache__"):
            settings.protect(folder)
        # One process at a time: files that another process is still writing have no hashes yet.
        with settings.lock(settings.kernels / ".lock"):
            if not is_own_file(path) or path.read_text(encoding="utf-8") != text:
                _announce()
                _forget(path)
                path.unlink(missing_ok=True)  # a link would be followed otherwise
                with replacing(path) as unfinished:
                    unfinished.write_text(text, encoding="utf-8")
            elif not _is_unchanged(path):
                _forget(path)
            module = _import(path)
            _record_sums(path)
            return module


def _compiled_files(path: Path) -> list[Path]:
    """List the compiled files of a module: Python's bytecode, Numba's indexes (pickles) and machine code."""
    return sorted((path.parent / "__pycache__").glob(f"{path.stem}.*"))


def _sums(path: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in _compiled_files(path)}


def _is_unchanged(path: Path) -> bool:
    """Tell whether the compiled files are exactly those whose hashes were recorded, and all belong to this account.

    Hashes alone do not protect a folder that others could once write to: they could plant hashes beside the files.
    """
    sums = path.with_suffix(".sha256.json")
    if not all(map(is_own_file, [sums, *_compiled_files(path)])):
        return False
    try:
        recorded = json.loads(sums.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(recorded == _sums(path))


def _record_sums(path: Path) -> None:
    if not _is_unchanged(path):
        path.with_suffix(".sha256.json").unlink(missing_ok=True)
        with replacing(path.with_suffix(".sha256.json")) as unfinished:
            unfinished.write_text(json.dumps(_sums(path)), encoding="utf-8")


def _forget(path: Path) -> None:
    """Delete the compiled files, so that they are compiled again."""
    for each in _compiled_files(path):
        each.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _announce() -> None:
    """Log once why this takes long; the command line prints it."""
    log.info(COMPILING)


_ONE_AT_A_TIME = Lock()
"""Threads often need the same code at the same time: one compiles it, and the others load its files."""


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # Numba looks the module up by its name when it loads from its cache
    spec.loader.exec_module(module)
    return module


def cache_key(text: str, sources: tuple[str, ...] = ()) -> str:
    """Hash everything that compiled code depends on: Numba's own cache checks the generated module alone."""
    parts = [text, *sources, numba.__version__, np.__version__]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@lru_cache
def compile_loops(loops: ModuleType) -> ModuleType:
    """Compile the functions that a module of plain loops names in SIGNATURES, or load them from the cache.

    It takes seconds the first time on a machine, so a service calls it at start. The module may import types from this
    package, and functions that call no other: the result depends on their text too.
    """
    signatures: Mapping[str, str] = loops.SIGNATURES
    helpers = {name: value for name, value in vars(loops).items() if isinstance(value, FunctionType)}
    imported = tuple(inspect.getsource(each) for each in helpers.values() if each.__module__ != loops.__name__)
    lines = [inspect.getsource(loops), "", "from numba import njit"]
    lines += [f"{name} = njit(nogil=True)({name})" for name in helpers if name not in signatures]
    lines += [f'{name} = njit("{kind}", cache=True, nogil=True)({name})' for name, kind in signatures.items()]
    return cached_module(loops.__name__.rpartition(".")[2], "\n".join(lines) + "\n", imported)
