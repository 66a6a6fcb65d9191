"""`fivefold rules reference`: the numbers of peers, as a new version of a list."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.rules.options import (
    BesideOptions,
    EntitiesArgument,
    PartOptions,
    RulesetArgument,
    ValueOptions,
    portfolio_files,
)
from fivefold.cli.terminal import AsOfOption, echo, past_moment, show_table, warn
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="The list's file; a version is added where there is one.")
]


def write_reference_portfolio(
    path: RulesetArgument,
    entities: EntitiesArgument,
    parts: PartOptions,
    output: OutputOption,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    beside: BesideOptions,
) -> None:
    """Write the reference portfolio in which a ruleset looks up peers: of each number, how it is distributed.

    With --first and --then it is of those on whom the ruleset decides beside these.
    """
    from fivefold.usecases.portfolio_files.bundled import SUFFIXES, load_ruleset
    from fivefold.usecases.portfolio_files.reference import make_reference, write_reference

    if output.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--output is {output}; it must end in {', '.join(SUFFIXES)}, by which a list is found")
    at = past_moment(as_of)
    ruleset = load_ruleset(path)
    before = output if output.exists() else None
    reference = make_reference(ruleset, portfolio_files(entities, parts, value), at, before, beside.load())
    write_reference(reference, output)
    rows = [[of, among, f"{group_count:,}", f"{small:,}"] for of, among, group_count, small in reference.groups()]
    show_table("", ("number", "among", "groups", "too small"), rows, left=2)
    if not rows:
        warn("no entity has any of the numbers: everything that is placed among these peers is unknown")
    for caution in reference.cautions:
        warn(caution)
    versions = len(reference.named_list.versions)
    echo(
        f"{output}: list {reference.named_list.name}, version {versions}, "
        f"of {reference.entities:,} as of {day_text(at)}, hash {reference.content_hash[:12]}"
    )
