"""`fivefold webhooks`: endpoints, what fails, dead letters and replays."""

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.terminal import (
    OrganisationOption,
    acting_in,
    acting_in_new,
    actor,
    echo,
    open_current_database,
    show_table,
    warn,
)
from fivefold.domain.clock import day_text, second_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import every_row
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.usecases.webhooks.endpoints import DeadLetter
    from fivefold.usecases.webhooks.progress import FailingDelivery

EndpointArgument = Annotated[int, typer.Argument(metavar="ENDPOINT", help="The number in `fivefold webhooks list`.")]
OfEndpointOption = Annotated[int | None, typer.Option("--endpoint", help="All by default.")]
FirstOption = Annotated[int, typer.Option("--first", min=1, help="Number of deliveries to list.")]
EVENT_COLUMNS = ("endpoint", "sequence", "event", "kind", "entity")


def add(
    url: Annotated[str, typer.Argument(help="An https:// address without a user name.")],
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Kind of events, such as level.reached; all by default.")
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private", help="Allow an address in your own network or on this machine, and plain http."
        ),
    ] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Allow plain http, which can be read in transit.")
    ] = False,
    organisation: OrganisationOption = "default",
) -> None:
    """Add an endpoint. Its secret is printed once, alone on standard output, and cannot be shown again."""
    from fivefold.usecases.webhooks.endpoints import add_endpoint

    who = acting_in_new(organisation)
    permissions = {"private_allowed": allow_private, "http_allowed": allow_http}
    endpoint = add_endpoint(who, url, kinds=kind or (), **permissions)
    warn(f"this is endpoint {endpoint.endpoint_id}; copy its secret now: it is not shown again")
    typer.echo(endpoint.secret)


def list_(organisation: OrganisationOption = "default") -> None:
    """List the endpoints, without their secrets. Failing deliveries are also waiting; `failing` says why they fail."""
    from fivefold.usecases.webhooks.progress import list_progress

    who = acting_in(organisation)
    rows = [
        [
            str(line.id),
            line.url,
            ", ".join(line.kinds) or "all",
            "enabled" if line.enabled else "disabled",
            "allowed" if line.private_allowed else "refused",
            day_text(line.created_us)[:10],
            str(line.secrets),
            f"{line.waiting:,}",
            f"{line.failing:,}",
            f"{line.dead:,}",
        ]
        for line in every_row(lambda part: list_progress(who, part))
    ]
    columns = ("id", "url", "kinds", "state", "private", "since", "secrets", "waiting", "failing", "dead")
    show_table("Endpoints", columns, rows, left=6)


def rotate(
    endpoint: EndpointArgument,
    at_once: Annotated[bool, typer.Option("--at-once", help="End earlier secrets now, not in 24 hours.")] = False,
    organisation: OrganisationOption = "default",
) -> None:
    """Make a new secret, and print it once.

    For 24 hours the previous one signs too, so that a receiver can change over.
    """
    from fivefold.usecases.webhooks.endpoints import KEPT_HOURS, rotate_secret

    kept_hours = 0 if at_once else KEPT_HOURS
    rotated = rotate_secret(acting_in(organisation), endpoint, kept_hours=kept_hours)
    warn("copy this secret now: it is not shown again")
    typer.echo(rotated.secret)


def drop_old(endpoint: EndpointArgument, organisation: OrganisationOption = "default") -> None:
    """End all secrets but the newest one now."""
    from fivefold.usecases.webhooks.endpoints import drop_old_secrets

    dropped = drop_old_secrets(acting_in(organisation), endpoint)
    echo(f"Endpoint {endpoint} signs only with its newest secret; {dropped} ended.")


def disable(endpoint: EndpointArgument, organisation: OrganisationOption = "default") -> None:
    """Stop sending for now. Events wait meanwhile."""
    _set_enabled(endpoint, organisation, enabled=False)


def enable(endpoint: EndpointArgument, organisation: OrganisationOption = "default") -> None:
    """Send again, waiting events first."""
    _set_enabled(endpoint, organisation, enabled=True)


def _set_enabled(endpoint: int, organisation: str, *, enabled: bool) -> None:
    from fivefold.usecases.webhooks.endpoints import set_enabled

    set_enabled(acting_in(organisation), endpoint, enabled=enabled)
    echo(f"Endpoint {endpoint} is {'enabled' if enabled else 'disabled'}.")


def remove(endpoint: EndpointArgument, organisation: OrganisationOption = "default") -> None:
    """Remove an endpoint, with everything that waits for it, for good."""
    from fivefold.usecases.webhooks.endpoints import remove_endpoint

    waiting_count = remove_endpoint(acting_in(organisation), endpoint)
    echo(f"Endpoint {endpoint} is removed; {count_text(waiting_count, 'delivery', 'deliveries')} had been waiting.")


def failing(
    endpoint: OfEndpointOption = None, first: FirstOption = 100, organisation: OrganisationOption = "default"
) -> None:
    """List failed deliveries that will be tried again, each with its last error and the time of the next attempt."""
    from fivefold.usecases.webhooks.progress import list_failing

    who = acting_in(organisation)
    rows = [
        [*_event_cells(line), second_text(line.next_us), line.error, f"{line.attempts} of {line.most_attempts}"]
        for line in islice(every_row(partial(list_failing, who, endpoint)), first)
    ]
    show_table("Failing deliveries", (*EVENT_COLUMNS, "tried again", "error", "attempts"), rows, left=7)


def dead(
    endpoint: OfEndpointOption = None, first: FirstOption = 100, organisation: OrganisationOption = "default"
) -> None:
    """List deliveries that were given up, each with its last error."""
    from fivefold.usecases.webhooks.endpoints import dead_letters

    who = acting_in(organisation)
    rows = [
        [*_event_cells(line), second_text(line.died_us), line.error, str(line.attempts)]
        for line in islice(every_row(partial(dead_letters, who, endpoint)), first)
    ]
    show_table("Dead letters", (*EVENT_COLUMNS, "given up", "error", "attempts"), rows, left=7)


def _event_cells(line: "FailingDelivery | DeadLetter") -> list[str]:
    """Write what a delivery is of, as `EVENT_COLUMNS` are called."""
    entity = "erased" if line.external_id is None else f"{line.entity_type} {line.external_id}"
    return [str(line.endpoint_id), str(line.sequence), line.event_id, line.kind, entity]


def replay(
    endpoint: EndpointArgument,
    from_: Annotated[int | None, typer.Option("--from", min=1, help="The first sequence number.")] = None,
    to: Annotated[int | None, typer.Option("--to", min=1, help="The last sequence number.")] = None,
    organisation: OrganisationOption = "default",
) -> None:
    """Send given-up deliveries again; with --from and --to everything in a range, whether it arrived or not."""
    from fivefold.usecases.webhooks import endpoints

    if (from_ is None) != (to is None):
        raise ConfigError("--from and --to belong together; leave both out to send again what was given up")
    numbers = None if from_ is None or to is None else (from_, to)
    again = endpoints.replay_dead_letters(acting_in(organisation), endpoint, numbers)
    echo(f"{again:,} {'delivery waits' if again == 1 else 'deliveries wait'} to be sent again.")


def encrypt() -> None:
    """Encrypt the secrets of all endpoints with the newest of FIVEFOLD_WEBHOOK_KEYS. Older keys are then not needed."""
    from fivefold.usecases.webhooks.endpoints import encrypt_secrets

    count = encrypt_secrets(open_current_database(), actor())
    echo(f"The secrets of {count:,} {'endpoint' if count == 1 else 'endpoints'} are encrypted with the newest key.")


def new_key() -> None:
    """Print a new key for FIVEFOLD_WEBHOOK_KEYS."""
    from fivefold.usecases.webhooks import signing as webhook_keys

    typer.echo(webhook_keys.new_key())


WEBHOOKS = command_group(
    "Webhooks: endpoints, deliveries and dead letters.",
    {
        "add": add,
        "list": list_,
        "rotate": rotate,
        "drop-old": drop_old,
        "disable": disable,
        "enable": enable,
        "remove": remove,
        "failing": failing,
        "dead": dead,
        "replay": replay,
        "encrypt": encrypt,
        "new-key": new_key,
    },
)
