"""`fivefold models`, `promote` and `rollback`: the model that serves, and who decided that."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.platform.proposals import TokenOption, person, print_proposal
from fivefold.cli.terminal import (
    NameOption,
    OrganisationOption,
    actor,
    console,
    echo,
    open_current_database,
    open_registry,
    show_table,
)
from fivefold.domain.clock import day_text, from_microseconds, parse_moment
from fivefold.domain.errors import PromotionRefusedError
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.models.promotions import Promotion

ReasonOption = Annotated[str, typer.Option("--reason", help="Recorded with it.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (models, promote, rollback):
        app.command()(command)


def models(
    on: Annotated[str | None, typer.Option("--on", help="A date or time: what served then.")] = None,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """List the registered versions, or what served on a date."""
    moment = None if on is None else parse_moment(on, "--on")
    registry = open_registry(name)
    from fivefold.models.promotions import promotion_history, promotions_on

    if moment is not None:
        _show_promotions(f"{name}: what served on {on}", promotions_on(registry, moment))
        return
    versions = registry.versions()
    if not versions:
        echo(f"{name} has no versions yet: run `fivefold train`")
        return
    metrics = ("model_normalised_gini", "model_top_decile_capture", "model_spearman")
    rows = [
        [
            str(version.number),
            ", ".join(version.aliases),
            f"{from_microseconds(version.created_us):%Y-%m-%d}",
            day_text(version.test_as_of),
            *(f"{version.metrics[metric]:.4f}" if metric in version.metrics else "" for metric in metrics),
        ]
        for version in versions
    ]
    columns = ("version", "alias", "registered", "test as-of", "Gini", "capture", "Spearman")
    show_table(name, columns, rows, left=4)
    for version in reversed(versions):
        if version.absent:
            echo(f"Version {version.number} was trained without {', '.join(version.absent)}.")
        if version.parent is not None:
            echo(f"Version {version.number} has the trees of version {version.parent} and a later score curve.")
    echo()
    _show_promotions("Promotions", promotion_history(registry))


def promote(
    version: Annotated[int, typer.Argument(help="The version to make champion.")],
    force: Annotated[bool, typer.Option("--force", help="Against the gate, or where it cannot compare.")] = False,
    reason: ReasonOption = "",
    name: NameOption = DEFAULT_NAME,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Make a version champion, if the gate allowed it. Where an organisation wants two people, it is proposed."""
    if force and not reason.strip():
        raise PromotionRefusedError("--force needs --reason TEXT: it is recorded with the promotion")
    registry = open_registry(name)
    from fivefold.usecases.changes import promotions as promoting

    engine = open_current_database()
    if not token or not promoting.need_of_two_people(engine):
        _print_promotion(promoting.promote_model(engine, registry, version, actor(), force=force, reason=reason))
        return
    who = person(engine, organisation, token)[0]
    print_proposal(promoting.propose_promotion(who, registry, version, force=force, reason=reason))


def rollback(reason: ReasonOption = "", name: NameOption = DEFAULT_NAME) -> None:
    """Make the champion before the present one champion again."""
    registry = open_registry(name)
    from fivefold.usecases.changes.promotions import roll_back_model

    _print_promotion(roll_back_model(open_current_database(), registry, actor(), reason))


def _print_promotion(promotion: "Promotion") -> None:
    console.print(
        f"Version {promotion.version} is the champion now{_replaced_text(promotion)}. "
        f"Recorded: {promotion.who}, {promotion.why}"
    )


def _replaced_text(promotion: "Promotion") -> str:
    return f" instead of version {promotion.replaced}" if promotion.replaced else ""


def _action_text(promotion: "Promotion") -> str:
    return f"{promotion.action}{' (forced)' if promotion.forced else ''} by {promotion.who}"


def _show_promotions(title: str, promotions: "list[Promotion]") -> None:
    if not promotions:
        echo(f"{title}: none")
        return
    rows = [
        [
            f"{from_microseconds(promotion.at_us):%Y-%m-%d %H:%M:%S}",
            f"version {promotion.version}{_replaced_text(promotion)}: {_action_text(promotion)}, {promotion.why}",
        ]
        for promotion in promotions
    ]
    show_table(title, ("at (UTC)", "champion from then on"), rows, left=2)
