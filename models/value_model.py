"""The value model: everything that turns indicators into a score, saved as one folder."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from fivefold.domain.breakdown import TotalInterval
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ModelError, OwnIndicatorError
from fivefold.domain.money import RateTable, rounded_form
from fivefold.domain.segments import HIGHEST_SCORE, LOWEST_SCORE, SEGMENTS, check_cut_points, segments_of
from fivefold.features.catalogue.indicator import Catalogue, require_fingerprint
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.consistency import consistency
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.features.indicator_matrix import (
    Snapshots,
    catalogue,
    fingerprint,
    indicator_matrix,
    own_failures,
    select_columns,
    snapshots,
    warm,
    warm_own,
)
from fivefold.features.schema import NULLABLE
from fivefold.models.certainty.intervals import DEFAULT_LEVEL_PERCENT, IntervalTable, check_level
from fivefold.models.curve import ScoreCurve, score_at
from fivefold.models.drift import DriftReference
from fivefold.models.prediction import SingleRowPredictor, expected_value, single_row_predictor
from fivefold.models.trees.many_rows import many_rows_predictor
from fivefold.models.trees.text import require_trees

FORMAT = 2
_WHOLE_FROM = 10.0
"""Intervals that end below this amount are written with decimals."""
_BOOSTER, _CURVE, _REST = "booster.txt", "curve.parquet", "model.json"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""The errors of reading a damaged JSON file; RecursionError if it is nested endlessly."""
OWN_FILE = "own_indicators.py"
"""The file of the operator's own indicators in a model's folder, whatever its original name."""


# Not a tuple: the code that is stored with every registered model calls `vars` on it.
@dataclass(frozen=True)
class Scores:
    """The predictions of n customers.

    Attributes:
        expected_value: money in the base currency over the horizon.
        percentile: place in the reference portfolio, 0 to 1.
        score: 1 + 4 x percentile, unrounded.
        category: the segment of the unrounded score.
    """

    expected_value: Floats
    percentile: Floats
    score: Floats
    category: npt.NDArray[np.str_]


def interval_ends(low: float, high: float | None, currency: str) -> tuple[str, str]:
    """Write the ends of an interval of money: whole from ten on, smaller ones with the decimals of their currency.

    *high* is None where it is not known: then the low end decides how both are written, and the high one is empty.

    >>> interval_ends(0.0, 31.4, "EUR"), interval_ends(0.25, 7.5, "KWD"), interval_ends(3.6, None, "EUR")
    (('0', '31'), ('0.250', '7.500'), ('3.60', ''))
    """
    largest = low if high is None else high
    form = ",.0f" if largest >= _WHOLE_FROM or largest == 0.0 else rounded_form(currency)
    high_text = "" if high is None else format(high, form)
    return format(low, form), high_text


@dataclass(frozen=True)
class Intervals:
    """The intervals in which the values of n customers are expected to lie, at a level.

    Attributes:
        level_percent: how many of 100 such intervals hold the value, for customers like those of the calibration.
        expected_value_low, expected_value_high: money in the base currency, 0 or more, about the expected value.
        score_low, score_high: where these are on the score curve, 1 to 5.

    High ends are NaN where too few customers were seen to say one; all ends are where the model keeps no interval.
    """

    level_percent: int
    expected_value_low: Floats
    expected_value_high: Floats
    score_low: Floats
    score_high: Floats

    def columns(self) -> dict[str, Floats]:
        """Return the ends by name."""
        return {name: value for name, value in vars(self).items() if name != "level_percent"}

    def row(self, number: int) -> dict[str, float | None] | None:
        """Return one customer's level and ends as plain data, unknown ends as None; None without an interval."""
        ends = {name: float(values[number]) for name, values in self.columns().items()}
        if np.isnan(ends["expected_value_low"]):
            return None
        return {"level_percent": self.level_percent, **{k: None if np.isnan(v) else v for k, v in ends.items()}}

    def of_score(self, number: int) -> TotalInterval | None:
        """Return one customer's interval of the score, for a picture of its breakdown; None without an interval."""
        ends = self.row(number)
        if ends is None:
            return None
        return TotalInterval(float(self.score_low[number]), ends["score_high"], self.level_percent)

    def text(self, number: int, currency: str) -> str:
        """Write one customer's interval of money for people; nothing without an interval.

        >>> ends = np.array([0.0]), np.array([31.4]), np.array([1.0]), np.array([3.2])
        >>> Intervals(80, *ends).text(0, "EUR")
        'between 0 and 31 EUR, 80 % sure'
        """
        low, high = self.expected_value_low[number], self.expected_value_high[number]
        if np.isnan(low):
            return ""
        low_text, high_text = interval_ends(float(low), None if np.isnan(high) else float(high), currency)
        if not high_text:
            return f"{low_text} {currency} or more, {self.level_percent} % sure: how much more is not known"
        return f"between {low_text} and {high_text} {currency}, {self.level_percent} % sure"


@dataclass(frozen=True)
class ValueModel:
    """A trained value model.

    Attributes:
        booster: LightGBM's trees; columns in the order of `indicators`.
        objective: LightGBM's objective, which decides how a margin becomes money.
        curve: places a prediction in the reference portfolio.
        cut_points: three scores between the segments.
        rates: the exchange rates that training used, and every prediction uses.
        horizon_days: days that the expected value covers.
        indicators: column names.
        fingerprint: of the catalogue that the model was trained with.
        definition: what a customer's value is: horizon, fees, margin and currency.
        test_as_of: the moment (microseconds) whose portfolio is the reference; the trees learnt from nothing later.
        reference: the distribution of that portfolio's indicators and scores, against which drift is measured.
        absent: columns that the training data lacked (`features.column_names.ABSENCES`); of them the model reads
            those of `features.column_names.READ_ANYWAY` alone.
        intervals: how far off such predictions were; None where nothing was kept that could say so.
        own: the indicators of the operator's own among those that it reads; None where there are none.
    """

    booster: lightgbm.Booster
    objective: str
    curve: ScoreCurve
    cut_points: tuple[float, float, float]
    rates: RateTable
    horizon_days: int
    indicators: tuple[str, ...]
    fingerprint: str
    definition: Mapping[str, Any]
    test_as_of: int
    reference: DriftReference
    absent: tuple[str, ...] = ()
    intervals: IntervalTable | None = None
    own: OwnIndicators | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The indicators that it reads."""
        return catalogue(self.absent, self.own)

    def warm(self) -> None:
        """Load what is compiled, or compile it; ConfigError where indicators of the operator's own are wrong."""
        warm()
        many_rows_predictor(self.booster)
        if self.own is not None:
            warm_own(self.own)

    @property
    def currency(self) -> str:
        """The base currency: of every amount that goes in or comes out."""
        return self.rates.base

    @property
    def test_window_ends(self) -> int:
        """The moment (microseconds) until which values were used to judge the model."""
        return self.test_as_of + self.horizon_days * DAY_US

    @property
    def learnt_until(self) -> int:
        """The moment (microseconds) after which it learnt nothing: earlier data cannot judge it.

        Its trees learnt nothing after the moment of its reference: the last day of the data where it was refitted. The
        intervals of a recalibrated model are measured on the window after that, and hold its values by construction.
        """
        measured = () if self.intervals is None else self.intervals.as_ofs
        return max([self.test_as_of, *(as_of + self.horizon_days * DAY_US for as_of in measured)])

    @cached_property
    def settlement_lag_us(self) -> int:
        """Microseconds before an as-of that the indicators leave out, because rows of that time may still arrive."""
        return int(self.definition.get("settlement_lag_days", 0)) * DAY_US

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over everything that `save` writes: the same data, configuration, seed and rates give the same."""
        return _content_hash(self._trees, self.curve, self._rest())

    @cached_property
    def _single_row(self) -> SingleRowPredictor | None:
        return single_row_predictor(self.booster)

    @property
    def _trees(self) -> str:
        return str(self.booster.model_to_string(num_iteration=-1))

    def matrix(self, histories: Histories, as_of: int) -> tuple[Floats, Integers]:
        """Compute the n x F indicators that the model reads as of a moment (microseconds), and the rows counted.

        Rows within the settlement lag before the moment do not count.
        """
        matrix, row_counts = indicator_matrix(histories, as_of - self.settlement_lag_us, self.own)
        return select_columns(matrix, self.absent, self.own), row_counts

    def snapshots(self, histories: Histories, as_ofs: Sequence[int]) -> Snapshots:
        """Compute the n x k x F indicators that the model reads as of each of k moments, each as `matrix` does."""
        results = snapshots(histories, np.array(as_ofs, dtype=np.int64) - self.settlement_lag_us, own=self.own)
        return Snapshots(select_columns(results.values, self.absent, self.own), results.row_counts)

    def own_failures(self, histories: Histories, as_of: int) -> Iterator[OwnIndicatorError]:
        """Yield an error for each customer that cannot be scored as of a moment (microseconds), from own indicators."""
        if self.own is None:
            return iter(())
        return own_failures(histories, np.array([as_of - self.settlement_lag_us], dtype=np.int64), self.own)

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns of `features.schema.NULLABLE` that every row must have."""
        return tuple(name for name in NULLABLE if name not in self.absent)

    def unknown(self, histories: Histories, as_of: int) -> npt.NDArray[np.bool_]:
        """Mark the customers who cannot be scored: a row up to the moment lacks a value that the model reads."""
        if histories.unknown_from is None:
            return np.zeros(histories.customers, dtype=np.bool_)
        places = [NULLABLE.index(name) for name in self.needs]
        is_unknown = histories.unknown_from[:, places] <= as_of - self.settlement_lag_us
        return np.asarray(is_unknown.any(axis=1), dtype=np.bool_)

    def scores(self, matrix: Floats) -> Scores:
        """Score n x F indicators, columns in the order of `catalogue`."""
        money = expected_value(self.booster, matrix, self._single_row)
        percentile = self.curve.percentile(money)
        score = score_at(percentile)
        return Scores(money, percentile, score, self.segments_of(score))

    def consistency_of(self, matrix: Floats) -> Floats:
        """Return the consistency of n customers, 0 to 1, from n x F indicators; NaN if the history says too little."""
        return consistency(matrix, self.indicators)

    @property
    def interval_level_percent(self) -> int:
        """The default level of the intervals; that of the program if the model has no intervals."""
        return DEFAULT_LEVEL_PERCENT if self.intervals is None else self.intervals.level_percent

    def intervals_of(self, expected_value: Floats, consistency: Floats, level_percent: int | None = None) -> Intervals:
        """Return the intervals of n customers, from their expected values (money).

        Args:
            expected_value: as `scores` returns it.
            consistency: as `consistency_of` returns it.
            level_percent: a whole number from 1 to 99; by default the model's own.
        """
        table = self.intervals
        level = check_level(self.interval_level_percent if level_percent is None else level_percent)
        if table is None:
            return Intervals(level, *(np.full(len(expected_value), np.nan) for _ in range(4)))
        ends = table.ends(expected_value, consistency, level)
        return Intervals(level, ends.low, ends.high, self.curve.score(ends.low), self.curve.score(ends.high))

    def segments_of(self, scores: Floats) -> npt.NDArray[np.str_]:
        """Return the segment of each unrounded score."""
        return segments_of(scores, self.cut_points)

    def segment_shares(self) -> dict[str, float]:
        """Return the share of the reference portfolio in each segment, lowest first."""
        places = [(cut - LOWEST_SCORE) / (HIGHEST_SCORE - LOWEST_SCORE) for cut in self.cut_points]
        below = [0.0, *map(self.curve.share_below, places), 1.0]
        return {segment: after - before for segment, (before, after) in zip(SEGMENTS, pairwise(below), strict=True)}

    def save(self, folder: Path) -> None:
        """Write the model into a folder: trees and own indicators as text, curve as Parquet, the rest as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _BOOSTER).write_text(self._trees, encoding="utf-8")
        curve = pa.table({"value": self.curve.values, "percentile": self.curve.percentiles})
        pyarrow.parquet.write_table(curve, folder / _CURVE)
        if self.own is not None:
            (folder / OWN_FILE).write_text(self.own.text, encoding="utf-8", newline="\n")
        rest = {"content_hash": self.content_hash, **self._rest()}
        (folder / _REST).write_text(json.dumps(rest, indent=1), encoding="utf-8")

    def _rest(self) -> dict[str, Any]:
        """Everything but the trees and the curve."""
        return {
            "format": FORMAT,
            "objective": self.objective,
            "cut_points": self.cut_points,
            "curve_customers": self.curve.customers,
            "rates": self.rates.to_dict(),
            "horizon_days": self.horizon_days,
            "indicators": self.indicators,
            "fingerprint": self.fingerprint,
            "definition": dict(self.definition),
            "test_as_of": self.test_as_of,
            "reference": self.reference.to_dict(),
            **({"absent": self.absent} if self.absent else {}),
            **({} if self.intervals is None else {"intervals": self.intervals.to_dict()}),
            **({} if self.own is None else {"own": {"name": self.own.name, "sha256": self.own.digest}}),
        }

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: the folder holds no value model, a damaged one, one of another format, or one whose own
                indicators are missing or are not those that it was trained with. None of their code runs here.
            FingerprintMismatchError: it was trained on other indicators than this program computes.
        """
        with _readable(folder):
            saved = _read_saved(folder)
            rest = saved.rest
            require_trees(saved.trees, len(rest["indicators"]))
            return cls(
                lightgbm.Booster(model_str=saved.trees),
                rest["objective"],
                saved.curve,
                check_cut_points(rest["cut_points"]),
                RateTable.from_dict(rest["rates"]),
                rest["horizon_days"],
                tuple(rest["indicators"]),
                rest["fingerprint"],
                rest["definition"],
                rest["test_as_of"],
                DriftReference.from_dict(rest["reference"]),
                tuple(rest.get("absent", ())),
                IntervalTable.from_dict(rest["intervals"]) if "intervals" in rest else None,
                saved.own,
            )


class _Saved(NamedTuple):
    """The verified files of a saved model; *rest* is everything but the trees and the curve."""

    rest: dict[str, Any]
    trees: str
    curve: ScoreCurve
    own: OwnIndicators | None


def _read_saved(folder: Path) -> _Saved:
    """Read the files of a model, and check them before LightGBM reads the trees: text cut short ends the process."""
    if missing := missing_files(folder):
        is_of_mlflow = (folder / "MLmodel").is_file()
        inside = "; the folder of MLflow's model has it in artifacts/value_model" if is_of_mlflow else ""
        raise ModelError(f"{folder} holds no value model: {missing} is not there{inside}")
    rest = dict(_read_rest(folder))
    if rest.get("format") != FORMAT:
        raise ModelError(
            f"{folder} holds a value model of format {rest.get('format')}; this program reads {FORMAT}: "
            "run `fivefold train` again"
        )
    own = _own_of(folder, rest.get("own"))
    require_fingerprint(rest["fingerprint"], fingerprint(tuple(rest.get("absent", ())), own), f"the model in {folder}")
    trees = (folder / _BOOSTER).read_text(encoding="utf-8")
    table = pyarrow.parquet.read_table(folder / _CURVE)
    curve = ScoreCurve(table["value"].to_numpy(), table["percentile"].to_numpy(), rest["curve_customers"])
    if _content_hash(trees, curve, rest) != rest["content_hash"]:
        raise ModelError(f"{folder} is damaged: its trees, its curve or {_REST} are not what was saved")
    return _Saved(rest, trees, curve, own)


def missing_files(folder: Path) -> str:
    """Return the names of files that a folder lacks to be a value model; empty if it has all."""
    return ", ".join(name for name in (_BOOSTER, _CURVE, _REST) if not (folder / name).exists())


def _read_rest(folder: Path) -> Any:
    """Read everything but the trees and the curve; a pipe in place of a file of the model would never end."""
    for name in (_BOOSTER, _CURVE, _REST, OWN_FILE):
        if (folder / name).exists() and not (folder / name).is_file():
            raise OSError(f"{name} is not a regular file")
    return json.loads((folder / _REST).read_text(encoding="utf-8"))


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Raise ModelError in place of any error of reading a damaged file of a model."""
    try:
        yield
    except (*_UNREADABLE, lightgbm.basic.LightGBMError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise ModelError(f"{folder} holds no value model that can be read: {cause}") from error


def require_whole(folder: Path) -> str:
    """Check that the files of a model are unchanged, and return its content hash; errors are those of `load`.

    The trees are not loaded: malformed ones may end the process.
    """
    with _readable(folder):
        return str(_read_saved(folder).rest["content_hash"])


def _own_of(folder: Path, declared: Mapping[str, str] | None) -> OwnIndicators | None:
    """Read the own indicators that a model was trained with, and run nothing of them."""
    if declared is None:
        return None
    whose = f"the model in {folder} reads indicators of the operator's own, from {declared['name']}"
    try:
        own = OwnIndicators(declared["name"], (folder / OWN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{whose}, and {OWN_FILE} is missing there: register the model again") from None
    if own.digest != declared["sha256"]:
        raise ModelError(
            f"{whose}, and {OWN_FILE} there is not the text that it was trained with (SHA-256 {own.digest[:12]}, not "
            f"{declared['sha256'][:12]}): register the model again"
        )
    return own


def saved_hash(folder: Path) -> str | None:
    """Read the content hash of a saved model without loading it; None if it cannot be read."""
    try:
        return str(_read_rest(folder)["content_hash"])
    except _UNREADABLE:
        return None


def _content_hash(trees: str, curve: ScoreCurve, rest: Mapping[str, Any]) -> str:
    """Hash all that decides a score: trees, curve, and every other field as JSON, without the hash itself."""
    content = hashlib.sha256(trees.encode())
    content.update(curve.values.tobytes())
    content.update(curve.percentiles.tobytes())
    fields = {name: value for name, value in rest.items() if name != "content_hash"}
    fields = json.loads(json.dumps(fields))  # a model in memory has the hash of the same model read from a file
    content.update(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
    return content.hexdigest()
