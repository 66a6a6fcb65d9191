"""`fivefold rules backtest`, `validate` and `propose-thresholds`: a ruleset on a portfolio, before it decides."""

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show, write_evidence, write_json
from fivefold.cli.rules.options import PartOptions, RulesetArgument, ValueOptions, portfolio_files
from fivefold.cli.terminal import AsOfOption, echo, errors, past_moment, show_table, warn
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.text import percent

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="[A] B", help="The ruleset in force (may be left out), and the draft.")
]
LEAST_RESAMPLES = 100
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The draft that is written.")]
SharesOption = Annotated[
    str | None,
    typer.Option("--shares", help="Percent in each level, lowest first, as 65,22,10,3; else the middles of the usual."),
]


def print_backtest(
    rulesets: RulesetsArgument,
    data: DataOption,
    parts: PartOptions,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Levels that stand: entity_id, rules_level, entered.")
    ] = None,
    entered: Annotated[
        str | None, typer.Option("--entered", help="Or: the levels of A stand, since this ISO date or time.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many entities at random; else all.")] = None,
    seed: SeedOption = 0,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Compare what A and B make of a portfolio: levels, who moves, hits of every case, and what cannot be assessed."""
    from fivefold.risk.governance.reports.backtest import backtest_page
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import backtest_files

    if len(rulesets) > 2:
        raise ConfigError(f"{len(rulesets)} rulesets were given; it takes the one in force, or none, and the draft")
    if previous is not None and entered is not None:
        raise ConfigError("--previous and --entered both say which levels stand; give one of them")
    if entered is not None and len(rulesets) == 1:
        raise ConfigError("--entered says since when the levels of A stand; give A too, or the levels by --previous")
    *present, draft = (load_ruleset(source) for source in rulesets)
    at = past_moment(as_of)
    files = portfolio_files(data, parts, value)
    since = None if entered is None else _since(entered, at)
    # Shown with the first call: the files are read before.
    with tqdm(desc="assessed", file=errors.file, disable=not errors.is_terminal, leave=False, delay=0.001) as bar:

        def advance(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        result = backtest_files(
            draft,
            present[0] if present else None,
            files,
            at,
            previous=previous,
            entered=since,
            size=sample,
            seed=seed,
            progress=advance,
        )
    page = backtest_page(result)
    show(page)
    write_evidence("backtest", result, page, html, json)


def _since(entered: str, as_of: int) -> int:
    since = parse_moment(entered, "--entered")
    if since > as_of:
        raise ConfigError("--entered must not be after --as-of")
    return since


def print_validation(
    path: RulesetArgument,
    data: DataOption,
    labels: Annotated[Path, typer.Option("--labels", help="entity_id, confirmed, and at: when it became known.")],
    parts: PartOptions,
    as_of: AsOfOption = None,
    until: Annotated[str | None, typer.Option("--until", help="Later labels do not count: ISO date or time.")] = None,
    undated: Annotated[bool, typer.Option("--undated-later", help="Undated labels became known after as-of.")] = False,
    undated_known: Annotated[
        bool, typer.Option("--undated-known", help="Undated tags and screenings were known at as-of.")
    ] = False,
    banned: Annotated[
        list[str] | None, typer.Option("--banned", help="A name that no input may have; repeat it.")
    ] = None,
    elsewhere: Annotated[
        bool, typer.Option("--labels-from-elsewhere", help="The labels are not made of the cases and alerts given.")
    ] = False,
    against: Annotated[str | None, typer.Option("--against", help="Another ruleset, to be compared with.")] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            "--peer", help="A peer's figures to put beside: JSON, as --json of a validation writes it, or a few."
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="As-of of the reference period, for drift.")
    ] = None,
    seed: SeedOption = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=LEAST_RESAMPLES, help="Of every interval.")] = 1000,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure how well a ruleset ranks and catches what became known after as-of, against named floors."""
    from fivefold.risk.governance.reports.validation import validation_page
    from fivefold.risk.governance.validate.labels import LABELS_ARE
    from fivefold.risk.governance.validate.run import Options
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import read_peer_file, validate_files

    rulesets = [load_ruleset(source) for source in (path, against) if source is not None]
    at = past_moment(as_of)
    files = portfolio_files(data, parts, value)
    options = Options(
        banned=tuple(banned or ()),
        made_of=() if elsewhere else LABELS_ARE,
        until=None if until is None else _after(until, at),
        undated_are_later=undated,
        seed=seed,
        resamples=resamples,
        peer=None if peer is None else read_peer_file(peer),
    )
    before = None if reference is None else _before(reference, at)
    result = validate_files(rulesets, files, labels, at, options, reference=before, undated_known=undated_known)
    page = validation_page(result)
    show(page)
    write_evidence("validation", result, page, html, json)


def _before(reference: str, at: int) -> int:
    before = parse_moment(reference, "--reference")
    if before >= at:
        raise ConfigError("--reference must be before --as-of")
    return before


def _after(until: str, at: int) -> int:
    last = parse_moment(until, "--until")
    if last <= at:
        raise ConfigError("--until must be after --as-of: labels count that became known between the two")
    return last


def write_threshold_draft(
    path: RulesetArgument,
    data: DataOption,
    output: OutputOption,
    shares: SharesOption = None,
    *,
    parts: PartOptions,
    as_of: AsOfOption = None,
    value: ValueOptions,
    json: JsonOption = None,
) -> None:
    """Write a draft whose thresholds bring a portfolio to target shares. It is a proposal; nothing is put in force."""
    from fivefold.usecases.portfolio_files.bundled import ruleset_text
    from fivefold.usecases.portfolio_files.governance import propose_from_files

    if output.exists() and Path(path).exists() and output.samefile(path):
        raise ConfigError(f"--output is {output}, the ruleset itself; a draft is another file")
    text, at = ruleset_text(path), past_moment(as_of)
    targets = None if shares is None else _shares(shares)
    proposal, draft = propose_from_files(text, path, portfolio_files(data, parts, value), at, targets)
    with replacing(output) as unfinished:
        unfinished.write_text(draft, encoding="utf-8")
    if json is not None:
        write_json("threshold proposal", proposal, json)
    rows = [[row.level, percent(row.present), percent(row.proposed), percent(row.target)] for row in proposal.levels]
    show_table(f"{proposal.entities:,} entities, as of {proposal.as_of}", ("level", "now", "draft", "target"), rows)
    cuts = [
        [
            cut.level,
            cut.present,
            cut.proposed,
            percent(cut.reached_below),
            percent(cut.next_below[0]),
            percent(cut.next_below[1]),
        ]
        for cut in proposal.cuts
    ]
    columns = ("level begins at", "now", "draft", "below it", "next lower share", "next higher share")
    show_table("", columns, cuts)
    echo(f"{proposal.moved:,} entities would be in another level. The draft is {output}; nothing is in force.")
    for caution in proposal.cautions:
        warn(caution)


def _shares(text: str) -> list[float]:
    try:
        return [float(part) / 100 for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--shares is {text!r}; write percentages with commas between them, as 65,22,10,3") from None
