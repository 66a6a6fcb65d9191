"""`fivefold rules propose-points`, `propose-thresholds`, `reference`: numbers from a portfolio, not put in force."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.rules.evidence import (
    DataOption,
    HtmlOption,
    JsonOption,
    OutputOption,
    ReplaceOption,
    SeedOption,
    refuse_taken,
    say_written,
    show_evidence,
    write_draft,
    write_json,
)
from fivefold.cli.rules.options import (
    BesideOptions,
    EntitiesArgument,
    LabelOptions,
    LabelsOption,
    PartOptions,
    ResamplesOption,
    RulesetArgument,
    ValueOptions,
    portfolio_files,
    validation_options,
)
from fivefold.cli.terminal import FINDINGS, AsOfOption, echo, past_moment, show_table, warn
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing, require_place
from fivefold.domain.text import count_text, percent

if TYPE_CHECKING:
    import polars as pl

    from fivefold.risk.governance.thresholds.propose import ThresholdProposal


WithinOption = Annotated[
    float | None,
    typer.Option(
        "--within",
        min=0,
        help="Write no draft if every share is at most this many percent of the portfolio off its target.",
    ),
]
SharesOption = Annotated[
    str | None,
    typer.Option(
        "--shares",
        help="Percent in each level, lowest first, such as 65,22,10,3; by default the middles of the usual ranges.",
    ),
]


EarlierOption = Annotated[
    list[Path] | None, typer.Option("--earlier", help="A draft of an earlier quarter, to average with; repeatable.")
]
MovesOption = Annotated[
    Path | None, typer.Option("--moves", help="File for the entities that would change level, as CSV.")
]


def write_points_draft(
    path: RulesetArgument,
    data: DataOption,
    labels: LabelsOption,
    output: OutputOption,
    parts: PartOptions,
    as_of: AsOfOption = None,
    learn_as_of: Annotated[
        str | None,
        typer.Option(
            "--learn-as-of", help="Learn as of this earlier moment, from what became known between it and --as-of."
        ),
    ] = None,
    seed: SeedOption = 0,
    resamples: ResamplesOption = 1000,
    *,
    label_options: LabelOptions,
    beside: BesideOptions,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a draft whose points are learnt from half of the customers and judged on the others. It is a proposal.

    With --first and --then, only customers on whom this ruleset decides beside those are used.
    """
    from fivefold.risk.governance.reports.points import points_page
    from fivefold.usecases.portfolio_files.bundled import ruleset_text
    from fivefold.usecases.portfolio_files.governance import propose_points_from_files

    refuse_taken(output, replace=replace)
    text, at = ruleset_text(path), past_moment(as_of)
    proposal, draft = propose_points_from_files(
        text,
        path,
        portfolio_files(data, parts, value),
        labels,
        at,
        validation_options(label_options, at, seed, resamples),
        learn_as_of=None if learn_as_of is None else _earlier(learn_as_of, at),
        undated_known=label_options.undated_known,
        beside=beside.load(),
    )
    write_draft(output, draft, replace=replace)
    show_evidence("points proposal", proposal, points_page(proposal), html, json)
    verdict = "The draft is recommended for review" if proposal.verdict.recommended else "The draft is not recommended"
    echo(f"{verdict}: {proposal.verdict.because}. It is {output}; nothing is in force.")


def _earlier(learn_as_of: str, at: int) -> int:
    earlier = parse_moment(learn_as_of, "--learn-as-of")
    if earlier >= at:
        raise ConfigError("--learn-as-of must be before --as-of: what became known between the two is learnt from")
    return earlier


def write_threshold_draft(
    path: RulesetArgument,
    data: DataOption,
    output: OutputOption,
    shares: SharesOption = None,
    within: WithinOption = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Confirmed entities, as `fivefold rules validate` reads them.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Ignore labels after this ISO date or time.")] = None,
    undated: Annotated[
        bool, typer.Option("--undated-later", help="Assume that undated labels became known after --as-of.")
    ] = False,
    earlier: EarlierOption = None,
    moves: MovesOption = None,
    seed: SeedOption = 0,
    resamples: ResamplesOption = 1000,
    *,
    parts: PartOptions,
    beside: BesideOptions,
    as_of: AsOfOption = None,
    value: ValueOptions,
    json: JsonOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a draft whose thresholds bring a portfolio to target shares. It is a proposal; nothing is put in force.

    With --first and --then, the shares are of the entities on which this ruleset decides beside those.
    """
    from fivefold.usecases.portfolio_files.bundled import ruleset_text
    from fivefold.usecases.portfolio_files.governance import propose_from_files

    if within is None:  # else a draft may not be written at all
        refuse_taken(output, replace=replace)
    if until is not None and labels is None:
        raise ConfigError("--until says which labels count; give --labels too")
    at = past_moment(as_of)
    proposed_draft = propose_from_files(
        ruleset_text(path), path, portfolio_files(data, parts, value), at, None if shares is None else _shares(shares),
        within=None if within is None else within / 100,
        earlier=earlier or (),
        labels=labels,
        options=validation_options(LabelOptions(until=until, undated=undated), at, seed, resamples),
        beside=beside.load(),
    )  # fmt: skip
    proposal = proposed_draft.proposal
    if not proposal.kept:
        write_draft(output, proposed_draft.text, replace=replace)
    if moves is not None:
        _write_moves(proposed_draft.movers.clear() if proposal.kept else proposed_draft.movers, moves)
    if json is not None:
        write_json("threshold proposal", proposal, json)
    _show_thresholds(proposal)
    say_written(json)
    if proposal.kept:
        near_text = f"No level's share is more than {within:g} % of the portfolio away from its target"
        echo(f"{near_text}: the thresholds stay, and no draft is written.")
    else:
        moved_text = count_text(proposal.moved, "entity", "entities")
        echo(f"{moved_text} would be in another level. The draft is {output}; nothing is in force.")


def _write_moves(moved: "pl.DataFrame", path: Path) -> None:
    from fivefold.features.reading.formulas import escape_formulas_of_frame

    with replacing(path) as unfinished:
        escape_formulas_of_frame(moved).write_csv(unfinished)


def _show_thresholds(proposal: "ThresholdProposal") -> None:
    """Print the shares, the thresholds with their intervals, who moves, and what that does to the confirmed."""
    from fivefold.risk.governance.validate.verdicts import interval_words

    draft = "would be" if proposal.kept else "draft"
    rows = [[row.level, percent(row.present), percent(row.proposed), percent(row.target)] for row in proposal.levels]
    show_table(
        f"{count_text(proposal.entities, 'entity', 'entities')}, as of {proposal.as_of}",
        ("level", "now", draft, "target"),
        rows,
    )
    cuts = [
        [
            cut.level,
            cut.present,
            cut.proposed,
            *([] if cut.alone is None else [cut.alone]),
            "" if cut.interval is None else " to ".join(dict.fromkeys(cut.interval)),
            *map(percent, (cut.reached_below, *cut.next_below)),
        ]
        for cut in proposal.cuts
    ]
    alone = ["this portfolio alone"] if any(cut.alone is not None for cut in proposal.cuts) else []
    shares = ("below it", "next lower share", "next higher share")
    show_table("", ("level begins at", "now", draft, *alone, "by chance", *shares), cuts)
    if proposal.moves and not proposal.kept:
        moves = [[move.present, move.proposed, f"{move.entities:,}"] for move in proposal.moves]
        echo()
        show_table("Who would move", ("from", "to", "entities"), moves, left=2)
    if proposal.capture is not None and not proposal.kept:
        rows = [
            [name, interval_words(side.captured, percent=True), percent(side.top_share)]
            for name, side in (("now", proposal.capture.present), ("draft", proposal.capture.proposed))
        ]
        top, confirmed = " and ".join(proposal.capture.present.top), proposal.capture.confirmed
        show_table(f"{confirmed:,} confirmed later, in {top}", ("", "captured", "entities"), rows)
    for caution in proposal.cautions:
        warn(caution)


def _shares(text: str) -> list[float]:
    try:
        return [float(part) / 100 for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--shares is {text!r}; write percentages with commas between them, as 65,22,10,3") from None


ListOption = Annotated[Path, typer.Option("--output", "-o", help="The list's file; if it exists, a version is added.")]


def write_reference_portfolio(
    path: RulesetArgument,
    entities: EntitiesArgument,
    parts: PartOptions,
    list_file: ListOption,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    beside: BesideOptions,
) -> None:
    """Write the reference portfolio in which a ruleset looks up peers: the distribution of each number.

    With --first and --then it covers the entities on which this ruleset decides beside those. The exit code is 1 if
    numbers could not be read; the version is still written.
    """
    from fivefold.usecases.portfolio_files.bundled import SUFFIXES, load_ruleset
    from fivefold.usecases.portfolio_files.reference import make_reference, write_reference

    if list_file.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--output is {list_file}; it must end in {', '.join(SUFFIXES)}, by which a list is found")
    require_place(list_file)  # what is there already is read, and stays
    at = past_moment(as_of)
    ruleset = load_ruleset(path)
    before = list_file if list_file.exists() else None
    files = portfolio_files(entities, parts, value)
    reference = write_reference(make_reference(ruleset, files, at, before, beside.load()), ruleset, list_file)
    rows = [
        [
            line.number,
            line.among,
            *map("{:,}".format, (line.groups, line.small, line.count, line.unknown, line.unreadable)),
        ]
        for line in reference.lines
    ]
    show_table("", ("number", "among", "groups", "too small", "known", "unknown", "unreadable"), rows, left=2)
    if not rows:
        warn("no entity has any of the numbers: everything that is placed among these peers is unknown")
    for caution in (*reference.cautions, *reference.unread_cautions):
        warn(caution)
    versions = len(reference.named_list.versions)
    echo(
        f"{list_file}: list {reference.named_list.name}, version {versions}, "
        f"of {reference.entities:,} as of {day_text(at)}, hash {reference.content_hash[:12]}"
    )
    if not reference.is_added:
        echo("The file had this version already, and stays as it was.")
    if reference.unread_cautions:
        raise typer.Exit(FINDINGS)
