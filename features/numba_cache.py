"""Compilation: generated modules under FIVEFOLD_VAR, named by a hash of all their sources and cached by Numba."""

import hashlib
import importlib.util
import inspect
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from fivefold.domain.files import is_own_file, replacing
from fivefold.domain.settings import read_settings

log = logging.getLogger("fivefold.compiling")
COMPILING = "Compiling the indicators, once for this machine and release: about half a minute."


def cached_module(prefix: str, text: str, sources: tuple[str, ...] = ()) -> ModuleType:
    """Import *text* as a module that is stored on disk; *sources* are the other texts that it depends on."""
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
    """Check whether the compiled files are exactly those whose hashes were recorded, and all belong to this account.

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
    """Log once why this takes long; the command line prints the message."""
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


_INLINED = "njit(nogil=True, forceinline=True)"
"""How functions inside a loop are compiled: after inlining, the compiler sees that no references are counted."""


@lru_cache
def compile_loops(loops: ModuleType) -> ModuleType:
    """Compile the functions that a module of plain loops names in SIGNATURES, or load them from the cache.

    It takes seconds the first time on a machine, so a service calls it at start. The module may import types from this
    package, and functions that call no others: the result depends on their text too.
    """
    signatures: Mapping[str, str] = loops.SIGNATURES
    helpers = {name: value for name, value in vars(loops).items() if isinstance(value, FunctionType)}
    imported = [inspect.getsource(each) for each in helpers.values() if each.__module__ != loops.__name__]
    lines = [inspect.getsource(loops), "", "from numba import njit", f"from {__name__} import lent"]
    lines += [f"{name} = {_INLINED}({name})" for name in helpers if name not in signatures]
    for name, kind in signatures.items():
        lines += _entry_lines(name, kind, [*inspect.signature(helpers[name]).parameters])
    text, sources = "\n".join(lines) + "\n", (*imported, inspect.getsource(sys.modules[__name__]))
    compiled = cached_module(loops.__name__.rpartition(".")[2], text, sources)
    for name in signatures:
        (kind_of_result,) = {each.return_type for each in getattr(compiled, name).nopython_signatures}
        # Its memory would be freed with the array that was lent.
        assert not _has_arrays(kind_of_result), f"{loops.__name__}.{name} may not return {kind_of_result}"
    return compiled


def _has_arrays(kind: Any) -> bool:
    parts: Any = kind if isinstance(kind, types.BaseTuple) else ()
    return isinstance(kind, types.Array) or any(_has_arrays(part) for part in parts)


def _entry_lines(name: str, kind: str, parameters: Sequence[str]) -> list[str]:
    """Write the entry point of a function for Python: it lends the arrays, so that no inner function counts them."""
    return [
        f"{name}_of_lent = {_INLINED}({name})",
        f'@njit("{kind}", cache=True, nogil=True)',
        f"def {name}({', '.join(parameters)}):",
        f"    return {name}_of_lent({', '.join(f'lent({each})' for each in parameters)})",
    ]


@intrinsic
def lent(_: Any, lender: Any) -> Any:
    """Return an array, or a tuple with arrays, without the owner of its memory, so that Numba counts no references.

    Numba counts each array that one compiled function passes to another, by an atomic step each way. In a loop over the
    bytes of a request that takes longer than the loop itself: 85 µs for 100 rows, and 14 where nothing is counted.

    The caller keeps the arrays alive during the call, so a function may take them, but may not return them.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return _without_owner(context, builder, lender, arguments[0])

    return lender(lender), generate


def _without_owner(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        view = context.make_helper(builder, kind, value=value)
        view.meminfo, view.parent = view.meminfo.type(None), view.parent.type(None)
        return view._getvalue()  # noqa: SLF001 (Numba's own name for it, as its manual shows)
    parts: Any = kind if isinstance(kind, types.BaseTuple) else ()
    for place, part in enumerate(parts):
        inner = _without_owner(context, builder, part, builder.extract_value(value, place))
        value = builder.insert_value(value, inner, place)
    return value
