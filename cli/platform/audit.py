"""`fivefold audit`, `evidence` and `replay`: proofs of how it was decided, and by whom."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.terminal import (
    FINDINGS,
    OrganisationOption,
    acting_in,
    actor,
    echo,
    open_current_database,
    open_registry,
    show_table,
    warn,
)
from fivefold.domain.clock import now_microseconds, second_text
from fivefold.domain.errors import ConfigError, ModelError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.usecases.audit.verify import AuditFinding


def verify(
    heads_file: Annotated[
        Path | None, typer.Option("--heads", help="Exported heads: they reveal entries that were cut off since.")
    ] = None,
) -> None:
    """Look for any change, gap or reorder in the audit log.

    Each finding is printed on a line, and the exit code is then 1. A promotion in the registry of models that the log
    lacks is a finding too.
    """
    from fivefold.usecases.audit import record as audit
    from fivefold.usecases.audit.verify import prove, unlogged_promotions

    exported = None if heads_file is None else audit.read_heads(heads_file)
    engine, unlogged = open_current_database(), list["AuditFinding"]()
    try:
        unlogged = unlogged_promotions(engine, read_settings())
    except (ModelError, ConfigError) as error:
        warn(f"promotions are not compared with the audit log: {error}")
    verified = prove(engine, _print_finding, exported=exported, elsewhere=unlogged)
    scope = f"{count_text(verified.entries, 'entry', 'entries')} of {count_text(verified.chains, 'organisation')}"
    erased = f"values of {count_text(verified.erased, 'entry', 'entries')} erased"
    if verified.findings:
        echo(f"{scope}: {count_text(verified.findings, 'finding')}, {erased}.")
        raise typer.Exit(FINDINGS)
    against = f"against the heads of {second_text(exported.exported_us)}" if exported else "without exported heads"
    echo(f"{scope}, {against}: the audit log is whole; {erased}.")


def heads(
    output: Annotated[Path, typer.Option("--output", "-o", help="A JSON file, to store on another machine.")],
) -> None:
    """Write the last entry of each organisation's chain.

    Store the file where those who can write to the database cannot.
    """
    from fivefold.usecases.audit.record import export_heads

    exported = export_heads(open_current_database(), output)
    echo(f"heads of {count_text(len(exported.heads), 'organisation')}: {output}")


def show(
    organisation: Annotated[str | None, typer.Option("--organisation", help="All by default.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many entries.")] = 20,
) -> None:
    """Show who did what. Values before and after are not shown."""
    from fivefold.usecases.audit.record import list_entries

    rows = [
        [
            line.organisation,
            str(line.number),
            second_text(line.at_us),
            line.actor,
            line.action,
            line.subject,
            line.details,
        ]
        for line in list_entries(open_current_database(), last, organisation)
    ]
    columns = ("organisation", "entry", "at", "who", "did", "to", "details")
    show_table("Audit log", columns, rows, left=7)


def recount(reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")]) -> None:
    """Correct the counters that `verify` names, by a new count. Assessments wait meanwhile.

    A counter that cannot be counted anew is named and stays as it is; the exit code is then 1.
    """
    from fivefold.usecases.audit.counting import repair_counters

    done = repair_counters(open_current_database(), actor(), reason)
    for each in done.repaired:
        echo(f"organisation {each.organisation_id}: {each.table}, {count_text(each.cells, 'cell')} counted anew")
    for cell in done.left:
        echo(f"organisation {cell.organisation_id}: {cell.table} stays as it is for {cell.cell}: {cell.obstacle}")
    if done.left:
        raise typer.Exit(FINDINGS)
    if not done.repaired:
        echo("All counters are right; nothing was changed.")


def acknowledge(
    entry: Annotated[int, typer.Argument(help="Entry of the promotion, as `fivefold audit verify` names it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")],
    organisation: OrganisationOption = "default",
) -> None:
    """Acknowledge that the registry lost a promotion. `verify` no longer names it, and the log says why."""
    settings = read_settings()
    registry = open_registry(settings.model_name)
    from fivefold.usecases.models.promotion_log import acknowledge_loss

    lost = acknowledge_loss(acting_in(organisation), registry, entry, reason)
    echo(f"Acknowledged: {registry.name} does not say that version {lost.version} became champion (entry {entry}).")


def _print_finding(finding: "AuditFinding") -> None:
    echo(str(finding))


def evidence(
    quarter: Annotated[
        str | None, typer.Option("--quarter", help="A quarter of a calendar year (UTC), such as 2026Q3.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The archive to write, a zip file.")] = None,
    organisation: OrganisationOption = "default",
    check: Annotated[Path | None, typer.Option("--check", help="An archive to compare with its manifest.")] = None,
) -> None:
    """Collect the evidence of a quarter in one archive.

    Rulesets, backtests, validations, overrides, approvals, model cards and the audit log, by internal numbers alone.
    With --check nothing is collected: every file of an archive is compared with the archive's manifest.
    """
    if check is not None and quarter is None and output is None:
        _check(check)
    elif check is None and quarter is not None and output is not None:
        _collect(quarter, output, organisation)
    else:
        raise ConfigError("evidence takes --quarter and --output to make an archive, or --check alone to check one")


def _collect(name: str, output: Path, organisation: str) -> None:
    """Build the archive of a quarter, and warn of an unfinished quarter or a log that is not whole."""
    from fivefold.usecases.evidence.build import build_evidence
    from fivefold.usecases.shared.inputs import read_quarter

    quarter = read_quarter(name)
    is_over = quarter.until_us <= now_microseconds()
    archive = build_evidence(acting_in(organisation), quarter, output, read_settings())
    if not is_over:
        warn(f"{name} is not over; the archive ends now")
    counts_text = ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in archive.counts.items())
    echo(f"Evidence of {name}: {output}")
    echo(f"  {counts_text}")
    echo(f"  SHA-256 of its manifest, to store elsewhere: {archive.manifest_sha256}")
    if archive.findings:
        findings_text = count_text(archive.findings, "finding")
        warn(f"the audit log is not whole, {findings_text}; audit/verification.json names them")
        raise typer.Exit(FINDINGS)


def _check(path: Path) -> None:
    """Compare an archive with its manifest; exit code FINDINGS for any problem."""
    from fivefold.usecases.evidence.build import check_evidence

    result = check_evidence(path)
    for problem in result.problems:
        echo(problem)
    echo(f"{path}: {count_text(result.files, 'file')}, {count_text(len(result.problems), 'problem')}")
    echo(f"  SHA-256 of its manifest: {result.manifest_sha256}")
    if result.problems:
        raise typer.Exit(FINDINGS)


_KINDS = {"d:": "decision", "f:": "run"}


def replay(
    assessment: Annotated[str, typer.Argument(help="Its number, such as 12.3; d:12 for a decision, f:12 for a run.")],
    organisation: OrganisationOption = "default",
    show: Annotated[bool, typer.Option("--show", help="Print the computed breakdown.")] = False,
) -> None:
    """Compute an assessment, a decision or a run of a flow again.

    It uses the recorded inputs and versions. The exit code is 1 if the result differs.
    """
    from fivefold.usecases.flows.runs.outcomes import replay_record

    outcome = replay_record(acting_in(organisation), assessment)
    what = f"{_KINDS.get(assessment[:2], 'assessment')} {assessment}"
    if show:
        echo(json.dumps(json.loads(outcome.breakdown_now), indent=2, ensure_ascii=False))
    if outcome.in_other_words:
        echo(f"It was written by version {outcome.words} of the words; version {outcome.words_now} is shown.")
    if outcome.same:
        echo(f"{what.capitalize()}: the result is the same {len(outcome.breakdown_now):,} bytes.")
        age = json.loads(outcome.breakdown_now).get("stale_rates_days")
        if age is not None:
            echo(f"Its exchange rates were stale: the newest was {age:,} days old when it was made.")
        return
    warn(f"{what} differs; it was made by engine {outcome.engine}, this is {outcome.engine_now}")
    stored, computed = json.loads(outcome.stored), json.loads(outcome.breakdown_now)
    for key in sorted({*stored, *computed}):
        if stored.get(key) != computed.get(key):
            warn(f"{key}: stored {json.dumps(stored.get(key))[:200]}, computed {json.dumps(computed.get(key))[:200]}")
    raise typer.Exit(FINDINGS)


AUDIT = command_group(
    "The audit log: verify it, export its heads, read it.",
    {"verify": verify, "heads": heads, "show": show, "recount": recount, "acknowledge": acknowledge},
)
