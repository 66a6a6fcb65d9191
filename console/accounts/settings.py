"""The settings of the organisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.usecases.accounts.settings import Settings, SettingsChange, read_settings
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.contents import SettingsChanged
from fivefold.usecases.changes.search import ProposalFilters, ProposalFound, search_proposals

SETTINGS: Final = "/console/administration/settings"
NUMBERS: Final = {
    "override_cap_percent": "Largest share of customers that overrides may keep below the rules, in percent",
    "lowest_alert_percent": "Share of alerts at the lowest level above which a revalidation is required, in percent",
    "minimum_coverage_percent": "Share of a ruleset's rules and cases that examples must reach, in percent",
    "retention_days": "Days after which a customer may be erased",
    "outbox_days": "Days after which sent events are removed (at least 30; 0: never)",
    "deliveries_days": "Days after which ended deliveries are removed (at least 7; 0: never)",
    "assessments_days": "Days after which the inputs of assessments that no level rests on are removed (0: never)",
    "flows_days": "Days after which the inputs of flow runs that nothing rests on are removed (0: never)",
    "reports_days": "Days after which ended jobs, and the moves in backtests, are removed (at least 92; 0: never)",
    "challenge_days": "Days within which a challenge of an assessment has to be settled",
}
SWITCHES: Final = {
    "programs_lower_levels": "Programs may remove what holds a level up without a second person",
    "two_people_promote": "Promoting a value model needs two people",
}
WAITING: Final = ProposalFilters(state="proposed", kind=SettingsChanged.kind)


@dataclass(frozen=True, kw_only=True)
class SettingsPage:
    """The present settings; None before the levels are chosen.

    Attributes:
        waiting: changes that wait for another person; empty for people who may not see them.
    """

    settings: Settings | None
    numbers: dict[str, str]
    switches: dict[str, str]
    waiting: Sequence[ProposalFound]


def show_settings(visit: Visit) -> Rendered:
    """Show the settings."""
    try:
        present = read_settings(visit)
    except ConflictError:
        present = None
    may_see = visit.may("GET /v1/proposals/search")
    waiting = search_proposals(visit, WAITING, visit.role) if may_see else ()
    page = SettingsPage(settings=present, numbers=NUMBERS, switches=SWITCHES, waiting=tuple(waiting))
    return Rendered(template="accounts/settings.html", title=text("Settings"), page=page)


def change(visit: Visit) -> Answer:
    """Change the settings that the person edited; refused if another person changed the same ones meanwhile."""
    shown: dict[str, int | bool] = {}
    wanted: dict[str, int | bool] = {}
    for name, label in NUMBERS.items():
        shown[name] = visit.number(f"seen_{name}", text(label))
        wanted[name] = visit.number(name, text(label))
    for name, label in SWITCHES.items():
        shown[name] = visit.typed(f"seen_{name}", text(label)) == "1"
        wanted[name] = bool(visit.form.get(name))
    changed = {name: value for name, value in wanted.items() if value != shown[name]}
    if not changed:
        raise ConfigError(text("no setting was changed"))
    settings_change = SettingsChange(**changed)  # type: ignore[arg-type]  # numbers are numbers, and switches are switches
    before = {name: shown[name] for name in changed}
    outcome = asks.change_settings(visit, settings_change, visit.form.get("reason", "").strip(), before)
    if not outcome.changes:
        return Redirect(visit.path, "settings-same")
    return Redirect(visit.path, "settings-changed" if outcome.proposal is None else "settings-proposed")
