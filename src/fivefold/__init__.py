"""What each customer is worth and how risky each customer is, and exactly why.

In a notebook `import fivefold` gives what the commands give: `read_transactions`, `indicators`, `ValueModel`, `train`,
`assess` and `backtest`. Each is imported when it is first asked for.

Type checkers read the same from `__init__.pyi`, so that no module of ours imports a notebook's through this one.

The rooms of this package are the folders at the top of the repository; here are links to them.
"""

from importlib import import_module
from typing import Any, Final

_MODULES: Final = {
    "IndicatorTransformer": "estimators",
    "ValueModel": "value",
    "assess": "rules",
    "backtest": "rules",
    "compare": "comparison",
    "indicators": "transactions",
    "read_transactions": "transactions",
    "simulate": "transactions",
    "train": "training",
}
__all__ = [  # noqa: PLE0604, RUF100 (names that __getattr__ gives)
    "IndicatorTransformer",
    "ValueModel",
    "assess",
    "backtest",
    "compare",
    "indicators",
    "read_transactions",
    "simulate",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import what a notebook asks for; AttributeError for any other name."""
    if name in _MODULES:
        try:
            module = import_module(f"fivefold.notebook.{_MODULES[name]}")
        except ModuleNotFoundError as error:
            from fivefold.domain.provenance import missing_extra, needs_extra  # noqa: PLC0415 (nothing else needs them)

            if not (needed := missing_extra(error)):
                raise
            if name == "train":  # its extra has all that this takes; a smaller one may have this module alone
                needed = needs_extra(str(error.name).partition(".")[0], "train")
            raise ModuleNotFoundError(f"fivefold.{name}: {needed}", name=error.name) from error
        return getattr(module, name)
    raise AttributeError(f"module 'fivefold' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES} - {"Any", "Final", "import_module"})
