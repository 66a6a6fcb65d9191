"""`fivefold audit`, `evidence` and `replay`: what proves how it was decided, and by whom."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import acting_in, echo, open_current_database, show_table, warn
from fivefold.domain.clock import now_microseconds, second_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.usecases.audit.verify import AuditFinding


FINDINGS = 1
"""Exit code if the log is not whole, or a check has findings; a refused command ends with 2."""

audit_app = typer.Typer(help="The audit log: prove it whole, keep its heads, read it.", no_args_is_help=True)
DIFFERENT = 1
"""Exit code if the bytes differ; a refused replay ends with 2."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (verify, heads, show):
        audit_app.command()(command)
    app.add_typer(audit_app, name="audit")
    app.command()(evidence)
    app.command()(replay)


def verify(
    heads_file: Annotated[
        Path | None, typer.Option("--heads", help="Heads that were exported: what was cut off since is seen.")
    ] = None,
) -> None:
    """Look for any change, gap or reorder in the audit log. Exit code 1, and a line for each finding."""
    from fivefold.usecases.audit import record as audit
    from fivefold.usecases.audit.proof import prove

    exported = None if heads_file is None else audit.read_heads(heads_file)
    verified = prove(open_current_database(), _print_finding, exported=exported)
    scope = f"{count_text(verified.entries, 'entry', 'entries')} of {count_text(verified.chains, 'organisation')}"
    erased = f"values of {count_text(verified.erased, 'entry', 'entries')} erased"
    if verified.findings:
        echo(f"{scope}: {count_text(verified.findings, 'finding')}, {erased}.")
        raise typer.Exit(FINDINGS)
    against = f"against the heads of {second_text(exported.exported_us)}" if exported else "without exported heads"
    echo(f"{scope}, {against}: the audit log is whole; {erased}.")


def heads(
    output: Annotated[Path, typer.Option("--output", "-o", help="A JSON file, to be kept on another machine.")],
) -> None:
    """Write the last entry of each organisation's chain. Keep the file where who can write the database cannot."""
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


def _print_finding(finding: "AuditFinding") -> None:
    echo(str(finding))


def evidence(
    quarter: Annotated[str | None, typer.Option("--quarter", help="Of a calendar year (UTC), such as 2026Q3.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The archive to write, a zip file.")] = None,
    organisation: Annotated[str, typer.Option("--organisation", help="Whose.")] = "default",
    check: Annotated[Path | None, typer.Option("--check", help="An archive to compare with its manifest.")] = None,
) -> None:
    """Put what decided in a quarter into one archive.

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
    from fivefold.usecases.evidence.build import build_evidence
    from fivefold.usecases.shared.inputs import read_quarter

    quarter = read_quarter(name)
    if quarter.until_us > now_microseconds():
        warn(f"{name} is not over; what is still to come is not in the archive")
    engine = open_current_database()
    archive = build_evidence(acting_in(engine, organisation), quarter, output, read_settings())
    counted = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in archive.counts.items())
    echo(f"Evidence of {name}: {output}")
    echo(f"  {counted}")
    echo(f"  SHA-256 of its manifest, to be kept elsewhere: {archive.manifest_sha256}")
    if archive.findings:
        warn(f"the audit log is not whole, {archive.findings} findings; audit/verification.json names them")
        raise typer.Exit(FINDINGS)


def _check(path: Path) -> None:
    from fivefold.usecases.evidence.check import check_evidence

    result = check_evidence(path)
    for problem in result.problems:
        echo(problem)
    echo(f"{path}: {result.files:,} files, {len(result.problems):,} problems")
    echo(f"  SHA-256 of its manifest: {result.manifest_sha256}")
    if result.problems:
        raise typer.Exit(FINDINGS)


_KINDS = {"d:": "decision", "f:": "run"}


def replay(
    assessment: Annotated[str, typer.Argument(help="Its number, such as 12.3; d:12 for a decision, f:12 for a run.")],
    organisation: Annotated[str, typer.Option("--organisation", help="Whose it is.")] = "default",
    show: Annotated[bool, typer.Option("--show", help="Print the breakdown that came out.")] = False,
) -> None:
    """Make an assessment, a decision or a run of a flow again.

    It is made from its recorded inputs and versions. Exit code 1 where it is not the same.
    """
    from fivefold.usecases.flows.runs.replay import replay_record

    engine = open_current_database()
    outcome = replay_record(acting_in(engine, organisation), assessment)
    what = f"{_KINDS.get(assessment[:2], 'assessment')} {assessment}"
    if show:
        echo(json.dumps(json.loads(outcome.breakdown_now), indent=2, ensure_ascii=False))
    if outcome.in_other_words:
        echo(f"Its breakdown was in words {outcome.words} when it was made; words {outcome.words_now} are shown.")
    if outcome.same:
        echo(f"{what.capitalize()}: the same {len(outcome.breakdown_now):,} bytes came out.")
        age = json.loads(outcome.breakdown_now).get("stale_rates_days")
        if age is not None:
            echo(f"Its exchange rates were stale: the newest was {age:,} days old when it was made.")
        return
    warn(f"{what} came out different; it was made by engine {outcome.engine}, this is {outcome.engine_now}")
    stored, computed = json.loads(outcome.stored), json.loads(outcome.breakdown_now)
    for key in sorted({*stored, *computed}):
        if stored.get(key) != computed.get(key):
            warn(f"{key}: stored {json.dumps(stored.get(key))[:200]}, computed {json.dumps(computed.get(key))[:200]}")
    raise typer.Exit(DIFFERENT)
