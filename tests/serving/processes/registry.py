"""What a service under test starts from: a registry with models of every kind, and compiled indicators."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from fivefold.domain.money import Rate, RateTable
from fivefold.domain.settings import Settings, read_settings
from fivefold.features.indicator_matrix import warm
from fivefold.features.numba_cache import compile_loops
from fivefold.models.registry import CHAMPION, Registry
from fivefold.models.value_model import ValueModel
from fivefold.serving.v4 import row_loops
from tests.models import making

NAME = Settings(Path("unused")).model_name
MADE_FOR_OTHERS = "f" * 64
"""A fingerprint that no catalogue has."""

FIRST, SECOND, OTHER_FINGERPRINT, BROKEN = 1, 2, 3, 4
"""The versions of the template: two that serve, and two that must not."""


@dataclass(frozen=True)
class Template:
    """A folder with everything that a service finds at its start; copied, never served from."""

    var: Path
    addresses: Mapping[int, str]

    def copy_to(self, var: Path, champion: int | None) -> Registry:
        """Fill *var*, and say which version serves."""
        var.mkdir(parents=True)
        shutil.copy2(self.var / "mlflow.db", var / "mlflow.db")
        shutil.copytree(self.var / "kernels", var / "kernels")
        registry = Registry(Settings(var=var), NAME)
        if champion is not None:
            registry.set_alias(CHAMPION, champion)
        return registry

    def register_in(self, registry: Registry) -> Registry:
        """Register all versions in another registry; none of them serves yet."""
        run = registry.client.create_run(registry.experiment(NAME))
        for number, address in self.addresses.items():
            assert registry.add(address, run.info.run_id, None, "a test", {}) == number
        return registry


@cache
def model(number: int) -> ValueModel:
    """Give the model of a version that serves; its rates know the currency of Berka as well."""
    made = making.value_model("tweedie" if number == FIRST else "poisson")
    rates = {**making.RATES.rates, "CZK": Rate(0.04, making.DAY)}
    return replace(made, rates=RateTable(making.RATES.base, making.DAY, rates, "tests"))


def make_template(folder: Path) -> Template:
    """Register the versions once: MLflow takes seconds, so all but the first are copies with other contents."""
    warm()  # so that the kernels are there, as are the loops over a body: each service would compile them at its start
    compile_loops(row_loops)
    registry = making.new_registry(folder / "var", NAME)
    shutil.copytree(read_settings().kernels, registry.settings.kernels)
    assert making.add_version(registry, model(FIRST), folder / "first") == FIRST
    (written,) = making.registered_files(registry.settings.artifacts, "model.json")
    logged = written.parent.parent.parent
    addresses = {FIRST: logged.as_uri()}
    for number in (SECOND, OTHER_FINGERPRINT, BROKEN):
        changed = folder / f"version_{number}"
        shutil.copytree(logged, changed)
        _change(changed / "artifacts" / "value_model", number)
        addresses[number] = changed.as_uri()
        assert registry.add(addresses[number], registry.version(FIRST).run_id, None, "a test", {}) == number
    registry.client._tracking_client.store.engine.dispose()
    return Template(registry.settings.var, addresses)


def _change(value_model: Path, number: int) -> None:
    if number == SECOND:
        model(SECOND).save(value_model)
    elif number == OTHER_FINGERPRINT:
        rest = json.loads((value_model / "model.json").read_text(encoding="utf-8"))
        (value_model / "model.json").write_text(json.dumps({**rest, "fingerprint": MADE_FOR_OTHERS}), encoding="utf-8")
    else:
        trees = (value_model / "booster.txt").read_text(encoding="utf-8")
        (value_model / "booster.txt").write_text(trees[: len(trees) // 2], encoding="utf-8")
