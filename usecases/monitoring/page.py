"""The page of a validation of levels: triggers first, then the figures behind them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fivefold.domain.clock import day_text, period_text
from fivefold.domain.text import count_text, figure_text, percent
from fivefold.models.drift import index_words
from fivefold.risk.governance.reports.page import ReportPage, ReportSection, ReportTable
from fivefold.risk.governance.reports.validation import peer_section
from fivefold.risk.governance.validate.measures import MEASURED
from fivefold.risk.governance.validate.peers import PeerComparison
from fivefold.risk.governance.validate.ranking import CONFIDENCE

Plain = Mapping[str, Any]

CAUTIONS = (
    "Only reviewed customers can be confirmed: customers never reviewed count as not confirmed.",
    "A case or an alert is looked at with the level that held just before it was opened, and counts once decided.",
)


def validation_sections(number: int, reason: str, report: Plain, peers: Sequence[PeerComparison] = ()) -> ReportPage:
    """Return a validation as a page for people.

    Args:
        number: the number of the validation.
        reason: why it was made.
        report: the report, as `usecases.monitoring.validate` keeps it.
        peers: the figures of peers beside it.
    """
    overall = report["groups"][0]
    facts = [
        ("Validation", f"{number}, made on {day_text(report['made_us'])}: {reason}"),
        ("Levels of", period_text(report["from_us"], report["until_us"])),
        ("Outcomes that mean confirmed", ", ".join(report["confirmed"])),
        ("Confirmed in that time", f"{overall['caught']['confirmed']:,}"),
        ("Intervals", f"{percent(CONFIDENCE, 0)}; no figure rests on fewer than {report['least']}"),
    ]
    cautions = [*_hindsight(report), *CAUTIONS, *_left_aside(overall)]
    return ReportPage(f"Validation of levels {number}", facts, cautions, list(_sections(report, peers)))


def _hindsight(report: Plain) -> Iterator[str]:
    """Yield cautions about levels computed long after their moment; validations that did not count these have none.

    A validation from before such levels were left out does not count entities.
    """
    late = report.get("assessed_late", {"assessments": 0})
    if not late["assessments"]:
        return
    hindsight = (
        f"{late['assessments']:,} of {late['of']:,} assessments were made more than a day after their moment, such "
        "as by `fivefold worker --as-of`. A tag, a screening, a case or an attribute that was stored since, with a "
        "date before it, counts in them as known then"
    )
    if "entities" not in late:
        yield f"{hindsight}: what these levels seem to have foreseen may be hindsight."
        return
    others = count_text(late["entities"], "entity has", "entities have")
    yield f"{hindsight}, so they are left out of every figure; {others} no other assessment."
    if late["assessments"] == late["of"]:
        yield "Nobody is left: no assessment was made in time, so there is nothing that could be validated."


def _left_aside(overall: Plain) -> Iterator[str]:
    caught = overall["caught"]
    if caught["unassessed"]:
        count = f"Of the confirmed {caught['unassessed']:,}"
        yield f"{count} had no assessment in time before the case was opened; they count nowhere."
    if caught["known"]:
        yield f"{caught['known']:,} were confirmed before that time already, and again in it, and count nowhere."


def _sections(report: Plain, peers: Sequence[PeerComparison]) -> Iterator[ReportSection]:
    yield _triggers(report["triggers"])
    yield _groups(report["groups"])
    yield from map(peer_section, peers)
    for group in report["groups"]:
        yield _levels(group)
    yield _transitions(report["transitions"])
    yield _overrides(report["overrides"])
    now = report["now"]
    oldest = "" if now["oldest_due_seconds"] is None else f", the first of them for {now['oldest_due_seconds']:,} s"
    yield ReportSection(
        "What was due when this was carried out", f"{now['due']:,} due{oldest}; {now['quarantined']:,} quarantined."
    )


def _triggers(triggers: Sequence[Plain]) -> ReportSection:
    rows = [
        [
            trigger["name"][:1].upper() + trigger["name"][1:],
            trigger["about"],
            _answer(trigger),
            figure_text(trigger["figure"], trigger["limit"]),
            trigger["rule"],
            trigger["source"],
        ]
        for trigger in triggers
    ]
    columns = ["trigger", "about", "answer", "found", "condition", "source of the limit"]
    return ReportSection("Triggers of a revalidation", "", ReportTable(columns, rows, words=6))


def _answer(trigger: Plain) -> str:
    too_few = ": too little data" if trigger["answer"] == "unknown" else ""
    return f"{trigger['answer']}{too_few}{'' if trigger['sure'] else ' (may be due to chance)'}"


def _name(group: Plain) -> str:
    return "all" if group["version"] is None else f"{group['ruleset']} {group['version']}"


def _groups(groups: Sequence[Plain]) -> ReportSection:
    rows = []
    for group in groups:
        ranked, caught, drift = group["ranked"], group["caught"], group["drift"]
        rows.append(
            [
                _name(group),
                f"{ranked['entities']:,}",
                f"{ranked['confirmed']:,}",
                _aside(group),
                _measure(ranked["gini"]),
                _measure_then(ranked, "level_gini", percent=False),
                f"{caught['confirmed']:,}",
                _measure(caught["captured"], percent=True),
                _measure(caught["missed"], percent=True),
                "" if caught["possible"] is None else percent(caught["possible"]),
                f"{caught['missed_by_override']:,}",
                drift["verdict"] + ("" if drift["index"] is None else f" ({index_words(drift['index'])})"),
            ]
        )
    columns = [
        "rulesets", "ranked", "of them confirmed", "left aside", "Gini", "Gini of the level", "confirmed", "captured",
        "missed", "possible", "missed by an override", "drift",
    ]  # fmt: skip
    words = (
        "Gini is of the rules' totals when the time began, or at a first assessment in it, against cases that were "
        "opened after that; that of the level is of the levels that they led to, floors included. Left aside: "
        "confirmed before, with a case that was open already, or by a case that was opened while another version held. "
        "Captured: in the upper levels just before the case was opened, whenever that was."
    )
    return ReportSection("How well the levels predicted", words, ReportTable(columns, rows))


def _aside(group: Plain) -> str:
    """Count the entities that are not ranked, by reason; older validations did not count the last reason."""
    ranked = group["ranked"]
    counts = {"confirmed before": ranked["known"], "open already": ranked["under_way"]}
    if group["version"] is not None and "under_another" not in ranked:
        return "; ".join([*_counted(counts), "under another version: not counted then"])
    return "; ".join(_counted({**counts, "under another version": ranked.get("under_another", 0)})) or "none"


def _counted(counts: Mapping[str, int]) -> list[str]:
    return [f"{count:,} {reason}" for reason, count in counts.items() if count]


def _levels(group: Plain) -> ReportSection:
    rows = [
        [
            level["level"],
            *(f"{level[name]:,}" for name in ("began", "ended", "held", "confirmed", "opened", "open", "decided")),
            f"{level['alerts_confirmed']:,}",
            _measure(level["conversion"], percent=True),
            _measure(level["false_positives"], percent=True),
            *(_measure_then(level, name) for name in ("of_alerts", "of_confirmed")),
        ]
        for level in group["levels"]
    ]
    columns = [
        "level", "at the beginning", "at the end", "overrides too", "confirmed", "alerts opened", "open", "decided",
        "confirmed alerts", "conversion", "false positives", "of all alerts opened", "of all confirmed",
    ]  # fmt: skip
    statuses = ", ".join(f"{count:,} {status}" for status, count in group["statuses"].items())
    words = f"Levels are those of the rules, overrides apart. At the end: {statuses or 'none'}."
    return ReportSection(f"Levels and alerts, {_name(group)}", words, ReportTable(columns, rows))


def _measure_then(figures: Plain, name: str, *, percent: bool = True) -> str:
    """Return a measure as text; validations from before it was measured lack it."""
    return _measure(figures[name], percent=percent) if name in figures else "not measured then"


def _measure(measure: Plain, *, percent: bool = False) -> str:
    if measure["answer"] != MEASURED:
        return f"{measure['answer']} ({measure['of']:,})"
    values = [measure[name] for name in ("estimate", "low", "high")]
    one, low, high = (f"{100 * value:.1f}" if percent else f"{value:.3f}" for value in values)
    return f"{one}{' %' if percent else ''} ({low} to {high})"


def _transitions(transitions: Sequence[Plain]) -> ReportSection:
    rows = [
        [each["from"] or "none", each["to"] or "none", each["source"], f"{each['entities']:,}"] for each in transitions
    ]
    return ReportSection("Levels reached", "", ReportTable(["from", "to", "by", "times"], rows, words=3))


def _overrides(figures: Plain) -> ReportSection:
    counted = ("requested", "approved", "refused", "lapsed", "revoked", "expired", "live", "downward")
    rows = [[name, f"{figures[name]:,}"] for name in counted if name in figures]  # older ones lack lapsed
    cap = (figures["cap_percent"] / 100,)
    shares = [
        "none" if figures[name] is None else percent(figures[name], beside=cap if name == "downward_share" else ())
        for name in ("live_share", "downward_share")
    ]
    days = figures["mean_age_days"]
    age = "" if days is None else f", {count_text(round(days), 'day')} old on average"
    with_level = count_text(figures["with_level"], "entity", "entities")
    words = (
        f"At the end {shares[0]} of the {with_level} with a level were overridden{age}; "
        f"{shares[1]} below what the rules said, of {figures['cap_percent']} % that may be."
    )
    return ReportSection("Overrides", words, ReportTable(["", "overrides"], rows))
