"""The kernel: all indicators of a catalogue in one compiled walk over the histories.

The walk is generated as plain Python source that calls each indicator on slices which end at as-of, so that
nothing later can be read. Compiled by Numba it is cached on disk; interpreted it gives the same bits.
"""

import ast
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue.fused_loops import Loop, joint_lines, loop_of
from fivefold.features.catalogue.indicator import Catalogue, Indicator
from fivefold.features.catalogue.statistics import fill_decay, rows_until
from fivefold.features.numba_cache import cached_module

Walk = Callable[..., None]
"""(offsets, time, amount, balance, kind, currency, category, created, as_ofs, wanted, out, seen) -> None."""

_BEGINNING_OF_TIME = -(1 << 62)
"""Opens the window of all history: before every moment that `TransactionReader` accepts, and far from overflow."""

_LIBRARIES = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
"""The folders of Python and of installed libraries; their code counts by the versions of Numba and NumPy alone."""

_COLUMNS = ("time", "amount", "balance", "kind", "currency", "category", "created")
SIGNATURE = (
    "void(Array(int64,1,'C',True), Array(int64,1,'C',True), Array(float64,1,'C',True), Array(float64,1,'C',True), "
    "Array(int8,1,'C',True), Array(int16,1,'C',True), Array(int8,1,'C',True), Array(int64,1,'C',True), "
    "Array(int64,1,'C',True), Array(boolean,1,'C',True), float64[:,:,::1], int64[:,::1])"
)
"""One signature for all callers; with read-only arrays, so that no caller causes another compilation."""


def walk_source(catalogue: Catalogue, loops: Mapping[int, Loop] | None = None) -> str:
    """Write the walk: for each customer and as-of, every indicator that `wanted` marks, in the catalogue's order.

    Indicators in *loops* are computed in one loop for each first row, if all of them are wanted. Otherwise, and for
    indicators outside *loops*, each is computed by a call of its function. `seen` counts the customer's rows up to the
    as-of; where it is 0, every indicator has its empty value. Places of unwanted indicators in `out` stay unchanged.
    """
    loops = loops or {}
    windows = sorted({each.window_days for each in catalogue.indicators if each.window_days is not None})
    calls = {
        number: [f"if wanted[{number}]:", f"    out[c, s, {number}] = {_call(indicator)}"]
        for number, indicator in enumerate(catalogue.indicators)
    }
    lines = [
        f"def walk(offsets, {', '.join(_COLUMNS)}, as_ofs, wanted, out, seen):",
        "    longest = 0",
        "    for c in range(len(offsets) - 1):",
        "        longest = max(longest, offsets[c + 1] - offsets[c])",
        "    scratch = np.empty(longest, np.float64)",
        *([f"    together = {' and '.join(f'wanted[{number}]' for number in loops)}"] if loops else []),
        "    for c in range(len(offsets) - 1):",
        "        begin = offsets[c]",
        "        for s in range(len(as_ofs)):",
    ]
    inside = [
        "as_of = as_ofs[s]",
        "end = rows_until(time, begin, offsets[c + 1], as_of)",
        "seen[c, s] = end - begin",
        *(f"{name}_ = {name}[begin:end]" for name in _COLUMNS),
        "decay_ = scratch[: end - begin]",
        *_decay_lines(catalogue),
    ]
    for days in windows:
        inside.append(f"start_{days} = as_of - {days * DAY_US}")
        inside.append(f"first_{days} = rows_until(time_, 0, len(time_), start_{days})")
    if loops:
        inside += ["if together:", *_indented(joint_lines(loops, "out[c, s, {}]".format))]
        inside += ["else:", *_indented(line for number in loops for line in calls[number])]
    inside += [line for number, call in calls.items() if number not in loops for line in call]
    return "\n".join([*lines, *_indented(inside, 3)]) + "\n"


def _decay_lines(catalogue: Catalogue) -> list[str]:
    """Write the lines that fill weights, which fade with age, if an indicator that reads them is wanted."""
    readers = [number for number, each in enumerate(catalogue.indicators) if "decay" in each.parameters]
    wanted = " or ".join(f"wanted[{number}]" for number in readers)
    return [f"if {wanted}:", "    fill_decay(decay_, time_, as_of)"] if readers else []


def _call(indicator: Indicator) -> str:
    return f"{indicator.function.__name__}({', '.join(_arguments(indicator).values())})"


def _indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return [f"{'    ' * depth}{line}" for line in lines]


def compile_walk(catalogue: Catalogue, *, checked: bool = False) -> Walk:
    """Compile the walk, or load it from the cache.

    It takes seconds the first time on a machine and must never happen inside a request: call it at start.
    A *checked* walk raises IndexError if a function reads outside an array; an unchecked one would read the memory
    there, such as the rows of another customer. Functions that an indicator calls must be compiled with checks too.
    """
    walk: Walk = _cached_module(catalogue, checked).walk
    return walk


def _arguments(indicator: Indicator) -> dict[str, str]:
    """Return the expression of each of an indicator's parameters in the walk."""
    days, constants = indicator.window_days, dict(indicator.constants)
    variables = {
        "as_of": "as_of",
        "first_row": "0" if days is None else f"first_{days}",
        "window_start": str(_BEGINNING_OF_TIME) if days is None else f"start_{days}",
    }
    return {
        name: repr(constants[name]) if name in constants else variables.get(name, f"{name}_")
        for name in indicator.parameters
    }


def _loops(catalogue: Catalogue) -> dict[int, Loop]:
    """Return the indicators that are one loop over rows, by their numbers."""
    columns = [f"{name}_" for name in (*_COLUMNS, "decay")]
    loops = {
        number: loop_of(each.function, _arguments(each), columns, f"v{number}")
        for number, each in enumerate(catalogue.indicators)
    }
    return {number: loop for number, loop in loops.items() if loop is not None}


def functions_of(catalogue: Catalogue) -> dict[str, Callable[..., Any]]:
    """Return the indicators' functions by their names in the walk."""
    return {indicator.function.__name__: indicator.function for indicator in catalogue.indicators}


def interpret_walk(catalogue: Catalogue) -> Walk:
    """Return the same walk without compilation: thousands of times slower, but it never reads outside an array."""
    names: dict[str, Any] = {"np": np, "rows_until": rows_until, "fill_decay": fill_decay, **functions_of(catalogue)}
    exec(compile(walk_source(catalogue), "<walk>", "exec"), names)  # noqa: S102 (our own text)
    walk: Walk = names["walk"]
    return walk


def names_of_walk(catalogue: Catalogue) -> frozenset[str]:
    """Return the names that the generated module uses itself, which no function may have."""
    nodes = list(ast.walk(ast.parse(_module_source(Catalogue(())))))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    used |= {f"{part}_{each.window_days}" for each in catalogue.indicators for part in ("start", "first")}
    return frozenset(used | {node.name for node in nodes if isinstance(node, ast.alias | ast.FunctionDef)})


def _cached_module(catalogue: Catalogue, checked: bool) -> ModuleType:
    return cached_module("kernel", _module_source(catalogue, checked=checked), _sources(catalogue))


def _sources(catalogue: Catalogue) -> tuple[str, ...]:
    """Return the text of everything that the compiled code depends on: Numba checks the generated module alone."""
    return tuple(_text(module) for module in _depended_on(catalogue))


def _depended_on(catalogue: Catalogue) -> list[ModuleType]:
    """List the catalogue's modules and all that they import, directly or not, but for installed libraries."""
    modules: dict[str, ModuleType] = {}
    waiting = list(catalogue.modules)
    while waiting:
        module = waiting.pop()
        if module.__name__ not in modules and _is_ours(module):
            modules[module.__name__] = module
            waiting += [sys.modules[name] for name in _imports(module) if name in sys.modules]
    return [modules[name] for name in sorted(modules)]


def _is_ours(module: ModuleType) -> bool:
    if module.__name__.startswith("fivefold."):
        return True
    file = getattr(module, "__file__", None)
    return file is not None and not any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)


def _text(module: ModuleType) -> str:
    return Path(module.__file__ or "").read_text(encoding="utf-8")


def _imports(module: ModuleType) -> Iterator[str]:
    """Yield the names of imported modules; for `from a import b` both a and a.b, since b may be a module."""
    for node in ast.walk(ast.parse(_text(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_source(catalogue: Catalogue, *, checked: bool = False) -> str:
    """Write the module to compile; a *checked* one calls every function, so that an error comes from the function."""
    options = "nogil=True, boundscheck=True" if checked else "nogil=True"
    loops = {} if checked else _loops(catalogue)
    helpers = {name: helper for loop in loops.values() for name, helper in loop.helpers.items()}
    imports = [
        f"from {function.__module__} import {function.__name__} as {name}\n{name} = njit({options})({name})"
        for name, function in {**functions_of(catalogue), **helpers}.items()
    ]
    head = [
        '"""Generated: the walk over histories. Its name holds a hash of all that it is made of."""',
        "import numpy as np",
        "from numba import njit",
        "from fivefold.features.catalogue.statistics import fill_decay, rows_until",
    ]
    jit = f'@njit("{SIGNATURE}", cache=True, {options})'
    return "\n".join([*head, *imports, jit, walk_source(catalogue, loops)])
