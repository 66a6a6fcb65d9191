"""The platform's metrics: labels are few whatever is stored, unknown is no number, and the database is asked seldom."""

from math import isnan
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fivefold.domain.errors import StoreError
from fivefold.serving.metrics.platform import (
    LEAST_SECONDS,
    MOST_ORGANISATIONS,
    MOST_TYPES,
    OTHER,
    REST,
    PlatformMetrics,
)
from fivefold.store.flows.run_search import RunCounts
from fivefold.usecases.monitoring.statistics import LastValidation, OrganisationFigures, last_validation

NOW = 10**15
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Figures:
    """Stands in for the database: gives what a test puts there, and counts how often it is asked."""

    def __init__(self, *found: OrganisationFigures) -> None:
        self.found, self.asked, self.seconds, self.error = list(found), 0, 0.0, None
        self.clock, self.now = 100.0, NOW

    def now_us(self) -> int:
        return self.now

    def read(self) -> list[OrganisationFigures]:
        self.asked += 1
        self.clock += self.seconds
        if self.error is not None:
            raise self.error
        return self.found

    def clock_ahead_us(self) -> int:
        return 2_500_000

    error: Exception | None


def metrics_of(figures: Figures) -> PlatformMetrics:
    return PlatformMetrics(figures, lambda: figures.clock)  # type: ignore[arg-type]  # stands in


def samples(metrics: PlatformMetrics) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
    }


def validation(**changed: Any) -> LastValidation:
    values = {"gini": 0.7, "captured": 0.85, "missed": 0.15, "drift": 0.02} | changed
    report = {"triggers": []}
    return LastValidation(
        number=1, made_us=NOW - 5_000_000, **values,
        conversion={"low": 0.1, "high": None}, false_positives={"low": 0.9, "high": None},
        report=report,
    )  # fmt: skip


def test_an_organisation_is_told_by_its_number() -> None:
    one = OrganisationFigures(
        number=7, due=3, oldest_us=NOW - 2_500_000, quarantined=1, overrides=2, downward=1, with_level=4
    )
    one.levels = {("customer", "low"): 3, ("customer", "none"): 1}
    one.runs = RunCounts(7, due=8, oldest_us=NOW - 3_500_000, failed=9, quarantined=10)
    one.waiting, one.dead, one.open_changes, one.validation = 5, 6, 1, validation()
    one.added_us = NOW - 4_500_000
    one.due_models = {"customer": True, "account": False, "merchant": None}
    found = samples(metrics_of(Figures(one)))
    of = ("organisation", "7")
    assert found["fivefold_platform_up", ()] == 1
    for name, value in {
        "due_entities": 3, "due_oldest_seconds": 2.5, "quarantined_entities": 1, "overrides_live": 2,
        "overrides_downward_share": 0.25, "deliveries_waiting": 5, "deliveries_dead": 6, "material_changes_open": 1,
        "flow_runs_due": 8, "flow_runs_due_oldest_seconds": 3.5, "flow_runs_failed": 9, "flow_runs_quarantined": 10,
        "transactions_added_age_seconds": 4.5,
        "validation_age_seconds": 5, "validation_gini": 0.7, "validation_captured_share": 0.85,
        "validation_missed_share": 0.15, "validation_drift_psi": 0.02,
    }.items():  # fmt: skip
        assert found[f"fivefold_{name}", (of,)] == value, name
    assert found["fivefold_level_entities", (("level", "low"), of, ("type", "customer"))] == 3
    assert found["fivefold_value_model_due", (of, ("type", "customer"))] == 1
    assert found["fivefold_value_model_due", (of, ("type", "account"))] == 0
    assert isnan(found["fivefold_value_model_due", (of, ("type", "merchant"))])
    assert found["fivefold_validation_alert_conversion", (("level", "low"), of)] == 0.1
    assert found["fivefold_validation_false_positive_share", (("level", "low"), of)] == 0.9
    assert found["fivefold_revalidation_trigger", (of, ("trigger", "material change"))] == 1
    assert found["fivefold_revalidation_trigger", (of, ("trigger", "review"))] == 1


def test_what_is_unknown_is_no_number() -> None:
    one, other = OrganisationFigures(number=1), OrganisationFigures(number=2, validation=validation(gini=None))
    found = samples(metrics_of(Figures(one, other)))
    for name in (
        "validation_gini",
        "validation_age_seconds",
        "transactions_added_age_seconds",
        "overrides_downward_share",
        "validation_drift_psi",
    ):
        assert isnan(found[f"fivefold_{name}", (("organisation", "1"),)])
    assert isnan(found["fivefold_validation_gini", (("organisation", "2"),)])
    assert isnan(found["fivefold_validation_alert_conversion", (("level", "high"), ("organisation", "2"))])
    assert isnan(found["fivefold_revalidation_trigger", (("organisation", "1"), ("trigger", "gini"))])
    assert found["fivefold_due_oldest_seconds", (("organisation", "1"),)] == 0


def test_however_many_there_are_labels_are_few() -> None:
    many = []
    for number in range(1, MOST_ORGANISATIONS + 31):
        one = OrganisationFigures(number=number, due=2, oldest_us=NOW - number * 1_000_000, validation=validation())
        one.levels = {(f"type{kind}", level): 1 for kind in range(MOST_TYPES + 30) for level in ("low", "high")}
        many.append(one)
    found = samples(metrics_of(Figures(*many)))
    labels: dict[str, set[str]] = {}
    for _, pairs in found:
        for name, value in pairs:
            labels.setdefault(name, set()).add(value)
    assert labels["organisation"] == {*map(str, range(1, MOST_ORGANISATIONS + 1)), OTHER}
    assert len(labels["type"]) == MOST_TYPES + 1
    assert labels["level"] == {"low", "high"}
    assert found["fivefold_due_entities", (("organisation", OTHER),)] == 60
    assert found["fivefold_due_oldest_seconds", (("organisation", OTHER),)] == MOST_ORGANISATIONS + 30
    rest = (("level", "low"), ("organisation", "1"), ("type", OTHER))
    assert found["fivefold_level_entities", rest] == 30, "nobody is left out"


def test_without_organisations_there_are_no_series() -> None:
    assert samples(metrics_of(Figures())) == {
        ("fivefold_platform_up", ()): 1,
        ("fivefold_clock_ahead_seconds", ()): 2.5,
    }


def test_the_database_is_asked_once_in_a_while() -> None:
    figures = Figures(OrganisationFigures(number=1))
    metrics = metrics_of(figures)
    for _ in range(5):
        metrics.page()
    assert figures.asked == 1
    figures.clock += LEAST_SECONDS - 0.001
    metrics.page()
    assert figures.asked == 1
    figures.clock += 0.001
    metrics.page()
    assert figures.asked == 2


def test_what_takes_long_to_read_is_read_seldom() -> None:
    figures = Figures(OrganisationFigures(number=1))
    figures.seconds = 2.0
    metrics = metrics_of(figures)
    metrics.page()
    figures.clock += REST * 2.0 - 0.001
    metrics.page()
    assert figures.asked == 1
    figures.clock += 0.001
    metrics.page()
    assert figures.asked == 2


def test_ages_go_on_while_figures_are_kept() -> None:
    figures = Figures(OrganisationFigures(number=1, due=1, oldest_us=NOW, added_us=NOW + 1))
    metrics = metrics_of(figures)
    assert samples(metrics)["fivefold_due_oldest_seconds", (("organisation", "1"),)] == 0
    assert samples(metrics)["fivefold_transactions_added_age_seconds", (("organisation", "1"),)] == 0, "never below 0"
    figures.now += 3_000_000
    assert samples(metrics)["fivefold_due_oldest_seconds", (("organisation", "1"),)] == 3
    assert figures.asked == 1


GONE, BROKEN_OFF = OperationalError(None, None, Exception("gone")), psycopg.errors.QueryCanceled("took too long")


@pytest.mark.parametrize(
    ("cause", "rest"),
    [
        (GONE, LEAST_SECONDS),
        (PoolTimeout("no connection became free"), LEAST_SECONDS),
        (OperationalError("select", {}, psycopg.errors.TooManyConnections("too many clients")), LEAST_SECONDS),
        (OperationalError("select", {}, BROKEN_OFF), REST * 30.0),
        (OperationalError("select", {}, Exception("no such table")), REST * 30.0),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_database_that_cannot_be_asked_is_told_and_tried_again(
    cause: SQLAlchemyError, rest: float, is_named: bool
) -> None:
    """A wait for a connection takes none of the database's time; a statement that was broken off took all of it."""
    figures = Figures(OrganisationFigures(number=1))
    figures.error, figures.seconds = cause, 30.0
    if is_named:
        figures.error = StoreError("gone")
        figures.error.__cause__ = cause
    metrics = metrics_of(figures)
    assert samples(metrics) == {("fivefold_platform_up", ()): 0}
    figures.error, figures.clock = None, figures.clock + rest - 0.001
    metrics.page()
    assert figures.asked == 1, "not at every scrape"
    figures.clock += 0.001
    assert samples(metrics)["fivefold_platform_up", ()] == 1


def test_level_names_are_written_as_prometheus_has_them() -> None:
    one = OrganisationFigures(number=1)
    one.levels = {("customer", 'very "high"\n\\'): 1}
    found = samples(metrics_of(Figures(one)))
    assert [dict(labels)["level"] for name, labels in found if name == "fivefold_level_entities"] == ['very "high"\n\\']


def test_a_report_says_what_is_told_of_it() -> None:
    level = {"level": "low", "conversion": {"estimate": 0.5}, "false_positives": {"estimate": None}}
    overall = {
        "ranked": {"gini": {"estimate": None}},
        "caught": {"captured": {"estimate": 1.0}, "missed": {"estimate": 0.0}},
        "drift": {"index": None},
        "levels": [level, {"level": "(no level)"}],
    }
    found = last_validation(
        3,
        9,
        {"levels": ["low"], "groups": [overall]},
    )
    assert (found.gini, found.captured, found.missed, found.drift) == (None, 1.0, 0.0, None)
    assert found.conversion == {"low": 0.5}
    assert found.false_positives == {"low": None}
