"""The training configuration: what it takes, and how it names what it does not."""

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from fivefold import training
from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.training.config import (
    DEFAULT_NAME,
    CheckSettings,
    DueSettings,
    GateSettings,
    IntervalSettings,
    SnapshotSettings,
    TrainingConfig,
    TreeSettings,
    ValueSettings,
    read_config,
)

CONFIGS = Path(training.__file__).parent / "configs"


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> TrainingConfig:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return read_config(path)

    return write


def test_without_a_file_the_defaults_hold() -> None:
    config = read_config(None)
    assert config == TrainingConfig()
    assert config.name == DEFAULT_NAME
    assert config.horizon_days == 90
    assert config.cut_points == (2.0, 3.0, 4.0)
    assert config.trees.objective == "tweedie"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "null"])
def test_an_empty_file_gives_the_defaults(written: Any, text: str) -> None:
    assert written(text) == TrainingConfig()


def test_the_berka_configuration_is_as_the_trial_was() -> None:
    config = read_config(CONFIGS / "berka.yaml")
    assert config.value == ValueSettings(deposit_fee=0.005, withdrawal_fee=0.005, yearly_margin=0.02)
    assert (config.base_currency, config.horizon_days) == ("CZK", 90)
    assert config.test_as_of == to_microseconds(date(1998, 10, 2))


def test_the_cdnow_configuration_is_as_the_trial_was() -> None:
    config = read_config(CONFIGS / "cdnow.yaml")
    assert config.value == ValueSettings(deposit_fee=1, withdrawal_fee=0, yearly_margin=0)
    assert (config.base_currency, config.horizon_days) == ("USD", 90)
    assert config.test_as_of == to_microseconds(date(1998, 4, 1))


def test_every_shipped_configuration_can_be_read() -> None:
    paths = sorted(CONFIGS.glob("*.yaml"))
    assert [path.name for path in paths] == ["berka.yaml", "cdnow.yaml"]
    for path in paths:
        assert read_config(path).name == path.stem


@pytest.mark.parametrize(
    "text",
    ["2024-07-01", "'2024-07-01'", "2024-07-01T00:00:00Z", "'2024-07-01T02:00:00+02:00'", "2024-07-01 00:00:00"],
)
def test_dates_may_be_written_as_yaml_has_them(written: Any, text: str) -> None:
    assert written(f"test_as_of: {text}").test_as_of == to_microseconds(date(2024, 7, 1))
    assert written("rates_on: 2024-06-30").rates_on == date(2024, 6, 30)


WRONG: dict[str, Any] = {
    "name": "two words",
    "base_currency": "euro",
    "horizon_days": 0,
    "test_as_of": "soon",
    "rates_on": "yesterday",
    "columns": ["customer_id"],
    "indicators": "my_bank.indicators",
    "cut_points": [4, 3, 2],
    "seed": "lucky",
    "snapshots.spacing_days": 0,
    "snapshots.most": -1,
    "snapshots.most_rows": 0,
    "value.deposit_fee": "much",
    "value.withdrawal_fee": None,
    "value.yearly_margin": [1],
    "trees.objective": "lambdarank",
    "trees.tweedie_power": 2.0,
    "trees.rounds": 0,
    "trees.most_rounds": 0,
    "trees.learning_rate": 0,
    "trees.leaves": 1,
    "trees.min_rows_in_leaf": 0,
    "trees.feature_share": 1.1,
    "trees.row_share": 0,
    "trees.l2": -1,
    "trees.path_smooth": -0.1,
    "trees.monotone": ["deposit_sum_90d"],
    "trees.threads": 0,
    "origins": 13,
    "settlement_lag_days": -1,
    "checks.least_customers": 0,
    "checks.least_active": 0,
    "checks.thin_share": 2,
    "checks.most_repeated_share": -1,
    "gate.margin": -0.1,
    "gate.confidence": 0.2,
    "gate.resamples": 1,
    "gate.most_calibration_error": 0,
    "gate.most_moved_share": 0,
    "gate.most_below_champion": -0.1,
    "gate.least_gini": 1,
    "gate.least_beaten_share": 1.1,
    "interval.level_percent": 100,
    "interval.windows": 0,
    "due.least_customers": 29,
    "due.most_off_share": 0,
    "due.most_coverage_distance": 1,
    "due.most_gini_fall": 0,
    "due.confidence": 0.5,
}


def nested(fields: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in fields.items():
        *sections, last = name.split(".")
        place = content
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return content


def test_every_wrong_field_is_named_at_once(written: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        written(yaml.safe_dump(nested(WRONG)))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'config.yaml'} is not a training configuration:\n")
    for name in WRONG:
        assert f"\n  {name}: " in message, name
    assert len(message.splitlines()) == 1 + len(WRONG)


def test_the_fields_that_are_tried_are_all_that_there_are() -> None:
    sections = {
        "snapshots": SnapshotSettings,
        "value": ValueSettings,
        "trees": TreeSettings,
        "checks": CheckSettings,
        "gate": GateSettings,
        "interval": IntervalSettings,
        "due": DueSettings,
    }
    flat = [name for name in TrainingConfig.model_fields if name not in sections and name != "rates"]
    flat += [f"{section}.{name}" for section, model in sections.items() for name in model.model_fields]
    assert sorted(flat) == sorted(WRONG)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_each_wrong_field_alone_is_named(written: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"\n  {name}: .+"):
        written(yaml.safe_dump(nested({name: WRONG[name]})))


@pytest.mark.parametrize(
    ("name", "near", "there"),
    [
        ("horizon", "horizon_days", list(TrainingConfig.model_fields)),
        ("trees.depth", "", list(TreeSettings.model_fields)),
        ("value.deposit_fees", "deposit_fee", ["deposit_fee", "withdrawal_fee", "yearly_margin"]),
        ("snapshots.every", "", ["spacing_days", "most", "most_rows"]),
    ],
)
def test_an_unknown_key_is_refused_with_those_that_there_are(
    written: Any, name: str, near: str, there: list[str]
) -> None:
    meant = f"; perhaps {near} was meant" if near else ""
    with pytest.raises(ConfigError, match=rf"\n  {name}: is not a setting here{meant}; there are {', '.join(there)}$"):
        written(yaml.safe_dump(nested({name: 1})))


@pytest.mark.parametrize(
    "cuts", ["[2, 3]", "[2, 3, 4, 4.5]", "[2, 2, 4]", "[1, 3, 4]", "[2, 3, 5]", "[2, .nan, 4]", "3", "abc", "[a, b, c]"]
)
def test_bad_cut_points_are_refused_by_name(written: Any, cuts: str) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml is not a training configuration:\n  cut_points: "):
        written(f"cut_points: {cuts}")


def test_other_cut_points_are_taken(written: Any) -> None:
    assert written("cut_points: [1.5, 2.5, 4.8]").cut_points == (1.5, 2.5, 4.8)


@pytest.mark.parametrize("name", ["value.deposit_fee", "value.yearly_margin", "trees.l2", "trees.path_smooth"])
@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_a_number_must_be_finite(written: Any, name: str, number: str) -> None:
    section, field = name.split(".")
    with pytest.raises(ConfigError, match=rf"\n  {name}: "):
        written(f"{section}: {{{field}: {number}}}")


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_the_libraries_do_not_take_is_refused(written: Any, seed: int) -> None:
    with pytest.raises(ConfigError, match=r"\n  seed: "):
        written(f"seed: {seed}")


@pytest.mark.parametrize("objective", ["tweedie", "poisson", "regression", "regression_l1"])
def test_limits_are_taken_by_the_objectives_that_can_keep_them(written: Any, objective: str) -> None:
    text = f"trees: {{monotone: {{deposit_sum_90d: increasing}}, objective: {objective}}}"
    features, target = np.arange(40.0)[:, None], np.arange(40.0)
    parameters = {"objective": objective, "monotone_constraints": [1], "verbosity": -1, "num_threads": 1}
    learn = partial(lightgbm.train, parameters, lightgbm.Dataset(features, target), 1)
    if objective != "regression_l1":
        assert written(text).trees.monotone
        assert learn().num_trees() == 1
        return
    with pytest.raises(lightgbm.basic.LightGBMError, match="monotone_constraints"):
        learn()
    with pytest.raises(ConfigError, match=r"\n  trees.monotone: .*the objective regression_l1 takes no such limits"):
        written(text)
    assert not written(f"trees: {{objective: {objective}}}").trees.monotone


def test_coefficients_may_be_negative(written: Any) -> None:
    value = written("value: {deposit_fee: -0.01, withdrawal_fee: -1, yearly_margin: -0.02}").value
    assert (value.deposit_fee, value.withdrawal_fee, value.yearly_margin) == (-0.01, -1.0, -0.02)


@pytest.mark.parametrize("content", [b"name: [unclosed", b"\xff\xfe\x00", b"a: b: c", b"rates_on: 2024-13-45", b"\x00"])
def test_what_is_not_yaml_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [(f"seed: {'1' * 5_000}", "it has a number of more than 4300 digits"), ("[" * 5_000, "it is nested too deeply")],
)
def test_what_is_beyond_a_limit_of_python_is_refused_in_words_of_ours(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value) == f"{path} is not YAML: {why}"


@pytest.mark.parametrize("text", ["- 1\n- 2", "berka", "42"])
def test_yaml_that_is_no_mapping_is_refused(written: Any, text: str) -> None:
    with pytest.raises(ConfigError, match="not a training configuration:\n  the file: "):
        written(text)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"away.yaml cannot be read: No such file"):
        read_config(tmp_path / "away.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_the_rates_stand_beside_the_configuration(
    written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rates.csv").write_text("currency,date,rate\nUSD,2024-06-28,0.93\n", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = written("rates: rates.csv\nrates_on: 2024-06-30")
    assert config.rates == tmp_path / "rates.csv"
    table = config.rate_table()
    assert table.codes == ("EUR", "USD")
    assert table.per_unit("USD") == 0.93
    assert table.as_known_on == date(2024, 6, 30)
    assert written(f"rates: {tmp_path}/rates.csv").rates == tmp_path / "rates.csv"


def test_rates_that_are_not_there_are_an_error_that_names_them(written: Any) -> None:
    with pytest.raises(ConfigError, match=r"away.csv"):
        written("rates: away.csv").rate_table()


def test_without_rates_of_one_s_own_the_central_bank_s_hold(written: Any) -> None:
    table = written("base_currency: USD\nrates_on: 2024-06-30").rate_table()
    assert table.base == "USD"
    assert table.per_unit("EUR") == pytest.approx(1.0705)
    assert table.source == "European Central Bank reference rates"


def test_the_definition_tells_what_is_predicted_and_nothing_else() -> None:
    config = TrainingConfig()
    same = config.model_copy(
        update={"seed": 5, "name": "other", "trees": TreeSettings(leaves=3), "cut_points": (1.5, 3, 4)}
    )
    assert same.definition() == config.definition()
    others = [
        config.model_copy(update={"horizon_days": 30}),
        config.model_copy(update={"settlement_lag_days": 3}),
        config.model_copy(update={"base_currency": "CZK"}),
        *[config.model_copy(update={"value": ValueSettings(**{name: 0.5})}) for name in ValueSettings.model_fields],
    ]
    definitions = [str(other.definition()) for other in (config, *others)]
    assert len(set(definitions)) == len(definitions)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainingConfig().horizon_days = 30
