"""`fivefold serve` and `fivefold tokens`: the service and who may call it."""

import errno
import fcntl
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import fivefold
from fivefold.cli.parameters import command_group
from fivefold.cli.terminal import (
    actor,
    checked_settings,
    console,
    open_current_database,
    require_module,
    require_system_libraries,
    show_table,
    warn,
)
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, UntrustedClockError
from fivefold.domain.settings import VARIABLE_PARENT_PROCESS, Settings, read_settings

if TYPE_CHECKING:
    from fivefold.store.accounts.plans import Plan

PACKAGE_FOLDER = Path(fivefold.__file__).resolve().parent.parent
"""The folder that holds the package: BentoML runs there, and imports the service from it."""


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 3000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Number of processes that answer requests.")] = 1,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the champion over HTTP until stopped."""
    require_module("bentoml")  # it replaces this process below, where nothing would name its extra
    from fivefold.usecases.webhooks.plan import number_from_now

    settings = checked_settings()
    require_free(host, port)
    require_system_libraries()
    engine = open_current_database()
    try:
        number_from_now(engine)
    except UntrustedClockError as error:
        warn(str(error))
    engine.dispose()
    settings.protect_var()
    claim = claim_address(host, port, settings.var)
    os.environ |= {
        **_absolute_paths(settings),
        VARIABLE_PARENT_PROCESS: str(os.getpid()),
        # The folder where this was started may have packages of the names of libraries.
        "PYTHONSAFEPATH": "1",
        "BENTOML_HOME": str(settings.bentoml_home),
        # BentoML 1.4 takes `--api-workers` and leaves it aside; the number of workers is the service's configuration.
        "BENTOML_CONFIG_OVERRIDES": json.dumps({"services": {"fivefold": {"workers": workers}}}),
    }
    service = ["fivefold.serving.service:Fivefold", "--working-dir", str(PACKAGE_FOLDER)]
    address = ["--host", host, "--port", str(port)]
    sys.stdout.flush()
    try:
        # BentoML's own command replaces this process, so that signals reach it directly.
        command = [sys.executable, "-P", "-m", "bentoml", "serve", *service, *address]
        os.execv(sys.executable, command)  # noqa: S606 (our own command)
    finally:  # reached only if exec failed
        os.close(claim)


def claim_address(host: str, port: int, folder: Path) -> int:
    """Lock an address until this process, or the one that replaces it, ends; ConfigError if it is locked already.

    A service listens only seconds after its start, and until then another one would find the port free.
    """
    claim = os.open(_claim_file(host, port, folder), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        raise _in_use(host, port) from None
    os.ftruncate(claim, 0)
    os.write(claim, str(os.getpid()).encode())
    os.set_inheritable(claim, True)
    return claim


def _claim_file(host: str, port: int, folder: Path) -> Path:
    name = re.sub(r"[^\w.]", "_", f"serve-{host}-{port}")
    return folder / f"{name}.lock"


def _in_use(host: str, port: int) -> ConfigError:
    """Say that an address is in use, and by which process where that is a service of this folder."""
    folder = read_settings().var
    holder = _holder(_claim_file(host, port, folder))
    by = f" by process {holder}, the service of {folder}" if holder else ""
    return ConfigError(f"port {port} of {host} is in use{by}; choose another one with --port")


def _holder(claim_file: Path) -> str:
    """Return the number of the process that holds a claim; empty where none does."""
    try:
        with claim_file.open() as claim:
            fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return claim_file.read_text()
    except OSError:  # there is no claim, or nobody may read it here; that the address is in use is known without it
        return ""
    return ""


def require_free(host: str, port: int) -> None:
    """Raise ConfigError where the service could not listen on an address, before anything is started."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise ConfigError(f"--host is {host!r}, which is not an address of this machine: {error.strerror}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _in_use(host, port) from None
        raise ConfigError(f"nothing can listen on port {port} of {host}: {error.strerror}") from None


def _absolute_paths(settings: Settings) -> dict[str, str]:
    """Make relative paths absolute: the service runs in another folder."""
    variables = {"FIVEFOLD_VAR": str(settings.var), "FIVEFOLD_DATABASE_URL": _absolute(settings.database_url)}
    variables |= {"MLFLOW_TRACKING_URI": _absolute(settings.tracking)}
    if settings.plans_file:
        variables["FIVEFOLD_PLANS_FILE"] = str(settings.plans_file.absolute())
    if settings.sources_file:
        variables["FIVEFOLD_SOURCES_FILE"] = str(settings.sources_file)
    return {name: value for name, value in variables.items() if value}


def _absolute(address: str) -> str:
    kind, _, path = address.partition(":///")
    return f"{kind}:///{Path(path).absolute()}" if kind == "sqlite" and path else address


def create(
    plan: Annotated[str, typer.Option("--plan", help="The plan, which limits what the token may request.")] = "trial",
    role: Annotated[
        str,
        typer.Option(
            "--role", help="app, or a role of a member: commercial, investigator, approver, publisher, admin."
        ),
    ] = "app",
    member: Annotated[
        str, typer.Option("--member", help="The member who owns it; required for every role but app.")
    ] = "",
    organisation: Annotated[str, typer.Option("--organisation")] = "default",
    label: Annotated[str, typer.Option("--label", help="A note about its purpose.")] = "",
    expires_days: Annotated[int | None, typer.Option("--expires-days", min=1)] = None,
    mcp_changes: Annotated[
        bool,
        typer.Option("--mcp-changes", help="Let an agent with this token make changes over MCP, within its role."),
    ] = False,
) -> None:
    """Create a token. It is printed once, alone on standard output, and cannot be shown again."""
    from fivefold.store.accounts.plans import read_plans
    from fivefold.usecases.accounts.tokens import create_token

    number, secret = create_token(
        open_current_database(),
        read_plans(read_settings().plans_file),
        plan=plan,
        role=role,
        organisation=organisation,
        label=label,
        member=member,
        expires_days=expires_days,
        mcp_changes=mcp_changes,
        actor=actor(),
    )
    warn(f"this is token {number}; copy it now: only a hash of it is stored")
    typer.echo(secret)


def list_() -> None:
    """List the tokens."""
    from fivefold.usecases.accounts.tokens import list_tokens

    rows = [
        [
            str(line.id),
            line.organisation,
            line.label,
            line.role,
            line.plan,
            line.state,
            _day(line.expires_us),
            _day(line.last_used_us),
            line.member,
            "changes" if line.mcp_changes else "reads",
        ]
        for line in list_tokens(open_current_database())
    ]
    columns = ("id", "organisation", "label", "role", "plan", "state", "expires", "last used", "member", "by MCP")
    show_table("Tokens", columns, rows, left=10)


def revoke(token: Annotated[int, typer.Argument(help="Its number in `fivefold tokens list`.")]) -> None:
    """End a token at once."""
    from fivefold.usecases.accounts.tokens import revoke_token

    revoke_token(open_current_database(), token, actor=actor())
    console.print(f"Token {token} is revoked.")


def usage(
    month: Annotated[str, typer.Option("--month", help="A month such as 2026-11; the current month by default.")] = "",
) -> None:
    """Show how much each token used in a month."""
    from fivefold.store.accounts.plans import read_plans
    from fivefold.store.sql.clocks import clock_of
    from fivefold.usecases.accounts.credentials import month_of
    from fivefold.usecases.accounts.tokens import list_tokens

    if month and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise ConfigError(f"--month is {month!r}; it must be a month such as 2026-11")
    engine = open_current_database()
    chosen = month or month_of(clock_of(engine).now_us())  # the service charges by the database's clock, too
    plans = read_plans(read_settings().plans_file)
    rows = [
        [
            str(line.id),
            line.label,
            line.plan,
            f"{line.calls:,}",
            _of(plans, line.plan, "calls_per_month"),
            f"{line.users:,}",
            _of(plans, line.plan, "users_per_month"),
        ]
        for line in list_tokens(engine, chosen)
    ]
    show_table(f"Usage in {chosen}", ("id", "label", "plan", "calls", "of", "users", "of"), rows, left=3)


def _of(plans: "dict[str, Plan]", plan: str, limit: str) -> str:
    return f"{getattr(plans[plan], limit):,}" if plan in plans else "no such plan"


def _day(time_us: int | None) -> str:
    return "" if time_us is None else day_text(time_us)[:10]


TOKENS = command_group(
    "Tokens: who may call the service, and how much they used.",
    {"create": create, "list": list_, "revoke": revoke, "usage": usage},
)
