"""Compilation: generated modules under FIVEFOLD_VAR, whose names hash all that they are made of, cached by Numba."""

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
from filelock import FileLock

from fivefold.domain.files import is_own_file, protect_folder, replacing
from fivefold.domain.settings import read_settings

log = logging.getLogger("fivefold.compiling")
COMPILING = "The indicators are compiled now, once on this machine and release: about half a minute."


def module_of(prefix: str, text: str, sources: tuple[str, ...] = ()) -> ModuleType:
    """Import *text* as a module that is kept on disk; *sources* are what it depends on besides."""
    key = key_of(text, sources)
    settings = read_settings()
    path = settings.kernels / f"{prefix}_{key}.py"
    with _ONE_AT_A_TIME:
        for folder in (settings.var, settings.kernels, settings.kernels / "__pycache__"):
            protect_folder(folder)
        # One process at a time: of what another is still writing there are no hashes yet.
        with FileLock(settings.kernels / ".lock"):
            if not is_own_file(path) or path.read_text(encoding="utf-8") != text:
                _announce()
                _forget(path)
                path.unlink(missing_ok=True)  # a link would be followed otherwise
                with replacing(path) as unfinished:
                    unfinished.write_text(text, encoding="utf-8")
            elif not _is_as_kept(path):
                _forget(path)
            module = _imported(path)
            _keep_sums(path)
            return module


def _compiled(path: Path) -> list[Path]:
    """List what was compiled of a module: Python's bytecode, Numba's indexes (pickles) and machine code."""
    return sorted((path.parent / "__pycache__").glob(f"{path.stem}.*"))


def _sums(path: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in _compiled(path)}


def _is_as_kept(path: Path) -> bool:
    """Tell whether what would be run is what was compiled: every file, and no other, none of them another account's.

    The hashes alone say nothing of a folder that was open to others once: they could be planted beside the files.
    """
    sums = path.with_suffix(".sha256.json")
    if not all(map(is_own_file, [sums, *_compiled(path)])):
        return False
    try:
        kept = json.loads(sums.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(kept == _sums(path))


def _keep_sums(path: Path) -> None:
    if not _is_as_kept(path):
        path.with_suffix(".sha256.json").unlink(missing_ok=True)
        with replacing(path.with_suffix(".sha256.json")) as unfinished:
            unfinished.write_text(json.dumps(_sums(path)), encoding="utf-8")


def _forget(path: Path) -> None:
    """Delete what was compiled, to be compiled again."""
    for each in _compiled(path):
        each.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _announce() -> None:
    """Say once what takes so long; the command line prints it."""
    log.info(COMPILING)


_ONE_AT_A_TIME = Lock()
"""Threads that need the same code first all come at once: one compiles it, and the others load what it kept."""


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # Numba looks the module up by its name when it loads from its cache
    spec.loader.exec_module(module)
    return module


def key_of(text: str, sources: tuple[str, ...] = ()) -> str:
    """Hash everything that compiled code depends on: Numba looks at the generated module alone."""
    parts = [text, *sources, numba.__version__, np.__version__]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@lru_cache
def compiled_loops(loops: ModuleType) -> ModuleType:
    """Compile the functions that a module of plain loops names in SIGNATURES, or load them from the cache.

    It takes seconds the first time on a machine, so a service calls it at start. The module imports nothing of ours
    but types: its own text is all that the result depends on.
    """
    signatures: Mapping[str, str] = loops.SIGNATURES
    own = [name for name, made in vars(loops).items() if isinstance(made, FunctionType)]
    lines = [inspect.getsource(loops), "", "from numba import njit"]
    lines += [f"{name} = njit(nogil=True)({name})" for name in own if name not in signatures]
    lines += [f'{name} = njit("{kind}", cache=True, nogil=True)({name})' for name, kind in signatures.items()]
    return module_of(loops.__name__.rpartition(".")[2], "\n".join(lines) + "\n")
