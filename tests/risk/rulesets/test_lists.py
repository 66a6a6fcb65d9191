"""The lists that ship: dated facts that anybody can look up, and versions that follow from one another."""

import re
from itertools import pairwise

import pytest

from fivefold.domain.clock import day_text, parse_moment
from fivefold.usecases.portfolio_files.bundled import bundled_lists

CALL, GREY, EU, EEA = "fatf-call-for-action", "fatf-increased-monitoring", "eu-high-risk-third-countries", "eea"
PROGRAMMES = "sanctions-programmes"
COUNTRIES = (CALL, GREY, EU, EEA, PROGRAMMES)


def members(name: str, day: str) -> set[str]:
    version = bundled_lists()[name].in_force(parse_moment(day, "day"))
    assert version is not None
    return set(version.members)


# Each as the body published it, and as it was widely reported on the day.
@pytest.mark.parametrize(
    ("name", "country", "before", "since"),
    [
        (GREY, "HR", "2023-06-22", "2023-06-23"),  # FATF plenary of June 2023: Croatia, Cameroon, Vietnam
        (GREY, "BG", "2023-10-26", "2023-10-27"),  # of October 2023: Bulgaria
        (GREY, "MC", "2024-06-27", "2024-06-28"),  # of June 2024: Monaco and Venezuela
        (GREY, "LB", "2024-10-24", "2024-10-25"),  # of October 2024: Algeria, Angola, Côte d'Ivoire, Lebanon
        (GREY, "LA", "2025-02-20", "2025-02-21"),  # of February 2025: Laos and Nepal
        (GREY, "VG", "2025-06-12", "2025-06-13"),  # of June 2025: Bolivia and the British Virgin Islands
        (GREY, "KW", "2026-02-12", "2026-02-13"),  # of February 2026: Kuwait and Papua New Guinea
        (GREY, "IQ", "2026-06-18", "2026-06-19"),  # of June 2026: Bosnia and Herzegovina, Iraq
        (EU, "KE", "2025-08-04", "2025-08-05"),  # Delegated Regulation (EU) 2025/1184
        (EU, "RU", "2026-01-28", "2026-01-29"),  # the amendments of December 2025
    ],
)
def test_countries_that_were_added(name: str, country: str, before: str, since: str) -> None:
    assert country not in members(name, before)
    assert country in members(name, since)


@pytest.mark.parametrize(
    ("name", "country", "last", "gone"),
    [
        (GREY, "PA", "2023-10-26", "2023-10-27"),  # Panama, Albania, Cayman Islands, Jordan
        (GREY, "AE", "2024-02-22", "2024-02-23"),  # the United Arab Emirates, Barbados, Gibraltar, Uganda
        (GREY, "TR", "2024-06-27", "2024-06-28"),  # Türkiye and Jamaica
        (GREY, "PH", "2025-02-20", "2025-02-21"),  # the Philippines
        (GREY, "HR", "2025-06-12", "2025-06-13"),  # Croatia, Mali, Tanzania
        (GREY, "ZA", "2025-10-23", "2025-10-24"),  # South Africa, Nigeria, Burkina Faso, Mozambique
        (GREY, "NA", "2026-06-18", "2026-06-19"),  # Namibia and Algeria
        (EU, "KY", "2024-02-06", "2024-02-07"),  # Delegated Regulation (EU) 2024/163: Cayman Islands and Jordan
        (EU, "GI", "2025-08-04", "2025-08-05"),  # Delegated Regulation (EU) 2025/1184
        (EU, "NG", "2026-01-28", "2026-01-29"),
        (EEA, "GB", "2020-12-31T23:59:59Z", "2021-01-01"),  # the end of the transition
        (PROGRAMMES, "SY", "2025-05-27", "2025-05-28"),  # the Council lifted the economic measures
    ],
)
def test_countries_that_were_removed(name: str, country: str, last: str, gone: str) -> None:
    assert country in members(name, last)
    assert country not in members(name, gone)


def test_the_call_for_action_is_on_three_countries() -> None:
    """North Korea, Iran, and Myanmar since 21 October 2022."""
    assert members(CALL, "2022-10-21") == members(CALL, "2026-11-20") == {"KP", "IR", "MM"}


def test_the_lists_as_they_were_published_last() -> None:
    """FATF, 19 June 2026; the EU's table in force on 29 January 2026."""
    grey = "AO BA BG BO CD CI CM HT IQ KE KW LA LB MC NP PG SS SY VE VG VN YE"
    assert members(GREY, "2026-11-20") == set(grey.split())
    listed = "AF AO BO CD CI CM DZ HT IR KE KP LA LB MC MM NA NP RU SS SY TT VE VG VN VU YE"
    assert members(EU, "2026-11-20") == set(listed.split())


def test_how_many_there_were() -> None:
    """As the press counted them on the day: 23 in February 2023, 26 in June 2023, 24 and 25 a year and a half later."""
    days = ("2023-02-24", "2023-06-23", "2023-10-27", "2024-06-28", "2024-10-25", "2025-02-21")
    assert [len(members(GREY, day)) for day in days] == [23, 26, 23, 21, 24, 25]


def test_the_eea_has_the_27_and_three_of_efta() -> None:
    now = members(EEA, "2026-11-20")
    assert len(now) == 30
    assert {"NO", "IS", "LI"} <= now
    assert not {"CH", "GB"} & now


@pytest.mark.parametrize("day", ["2023-12-01", "2024-12-01", "2025-12-01", "2026-11-20"])
def test_no_country_is_both_called_on_and_monitored(day: str) -> None:
    assert not members(CALL, day) & members(GREY, day)
    assert not members(EU, day) & members(EEA, day), "the EU lists third countries alone"
    assert members(CALL, day) <= members(EU, day)


@pytest.mark.parametrize("name", COUNTRIES)
def test_versions_hold_all_members_once_and_in_order(name: str) -> None:
    for version in bundled_lists()[name].versions:
        assert list(version.members) == sorted(set(version.members))
        assert all(re.fullmatch("[A-Z]{2}", country) for country in version.members)
        assert version.source


@pytest.mark.parametrize("name", COUNTRIES)
def test_every_version_changes_something(name: str) -> None:
    for earlier, later in pairwise(bundled_lists()[name].versions):
        assert set(earlier.members) != set(later.members), day_text(later.since)


@pytest.mark.parametrize("name", [CALL, GREY])
def test_who_reads_the_fatf_lists_is_told_how_old_they_are(name: str) -> None:
    from importlib.resources import files

    head = (files("fivefold.risk") / "lists" / f"{name}.yaml").read_text("utf-8").split("list:")[0]
    assert "October 2026 may have changed it" in " ".join(head.replace("#", " ").split())
