"""The README's request: two transactions of June 2024, posted to a service of our own."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fivefold.cli.serve import require_free
from fivefold.cli.signals import ends_on_signals
from fivefold.cli.terminal import actor, console, open_current_database
from fivefold.domain.errors import ConfigError, FivefoldError
from fivefold.domain.settings import VARIABLE_OWNER_PROCESS, read_settings

ROWS = [
    {
        "user_id": "user_123",
        "transaction_state": "SUCCEEDED",
        "transaction_currency": "USD",
        "user_balance": 1000.0,
        "transaction_amount": 50.0,
        "user_created": "2024-01-01T12:00:00",
        "user_category": "WEB",
        "transaction_date": "2024-06-30T12:00:00",
    },
    {
        "user_id": "user_123",
        "transaction_state": "COMPLETED",
        "transaction_currency": "USD",
        "user_balance": 900.0,
        "transaction_amount": -100.0,
        "user_created": "2024-01-01T12:00:00",
        "user_category": "WEB",
        "transaction_date": "2024-06-30T12:30:00",
    },
]
QUERY = "/v4/scoring?as_of=2024-07-01"
LOOPBACK = "127.0.0.1"
START_SECONDS = 300
"""How long the service may take to start, on a machine that is quick; one that ended is not waited for."""
AS_LONG_AS_BEFORE = 3.0
"""On a slow machine it may take this many times as long as the demo took until then."""
STOP_SECONDS = 30
_SHOWN = 3
_STARTED = monotonic()


def serve_once(port: int) -> None:
    """Start the service, post the sample, show the answer, stop the service."""
    secret = app_token()
    port = port if is_free(port) else any_port()
    console.print("Starting the service ...")
    with running(port):
        answer = _post(port, secret)[0]
    short = {
        **answer,
        "contributions": [*answer["contributions"][:_SHOWN], f"... {len(answer['contributions']) - _SHOWN} more"],
    }
    console.print(f"POST {QUERY}&explain=true answered:", markup=False)
    console.print(json.dumps([short], indent=2, ensure_ascii=False), markup=False, soft_wrap=True)


def serve_until_stopped(port: int, secret: str, console_tokens: Mapping[str, str]) -> None:
    """Start the service in this process's place, after printing a call that can be pasted.

    Args:
        port: of the service.
        secret: the token of the call.
        console_tokens: with which people sign in to the console, by whose they are; none where it has nothing to show.
    """
    console.print("When it is ready, in another terminal:\n")
    console.print(curl(port, secret), markup=False, soft_wrap=True)
    if console_tokens:
        console.print(f"\nIn a browser: http://127.0.0.1:{port}/console, signed in with the token of")
        for name, token in console_tokens.items():
            console.print(f"  {name}  {token}", markup=False, soft_wrap=True)
    else:
        console.print("\nThe console in a browser has no customers yet: `fivefold demo` stores some.", markup=False)
    console.print("\nStop it with Ctrl-C.", markup=False)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "fivefold.cli.main", "serve", "--port", str(port)])  # noqa: S606 (our own words)


def curl(port: int, secret: str) -> str:
    """Write the sample as a call for the shell."""
    rows = json.dumps(ROWS)
    return f"curl -sS 'http://127.0.0.1:{port}{QUERY}' -H 'token: {secret}' -d '{rows}'"


def app_token(organisation: str = "default") -> str:
    """Make an app's token of an organisation, for a day."""
    from fivefold.store.accounts.plans import read_plans
    from fivefold.usecases.accounts.tokens import create_token

    plans = read_plans(read_settings().plans_file)
    engine = open_current_database()
    return create_token(
        engine, plans, plan="trial", label="demo", expires_days=1, organisation=organisation, actor=actor()
    )[1]


@contextmanager
def running(port: int) -> Iterator[None]:
    """Run `fivefold serve` for the time of the block, once it is ready; its output goes to a file.

    It ends with this process, also where that is asked to end by a signal, or killed.
    """
    log = read_settings().var / "demo" / "service.log"
    with ends_on_signals(), log.open("wb") as file:
        command = [sys.executable, "-P", "-m", "fivefold.cli.main", "serve", "--port", str(port)]
        environment = os.environ | {VARIABLE_OWNER_PROCESS: str(os.getpid())}
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)  # noqa: S603 (our own words)
        try:
            _wait_until_ready(process, port, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    began = monotonic()
    end = began + max(START_SECONDS, AS_LONG_AS_BEFORE * (began - _STARTED))
    while monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                if process.poll() is None:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            sleep(0.5)
    raise FivefoldError(_unready(process, port, log, monotonic() - began))


def _unready(process: "subprocess.Popen[bytes]", port: int, log: Path, seconds: float) -> str:
    """Say why the service is not ready: it ended, perhaps as another process has the port, or it is slow."""
    if process.poll() is None:
        return (
            f"the service runs, but was not ready on port {port} after {seconds:.0f} s: the machine may be slow or "
            f"busy. The service's output is in {log}. The same command continues from here"
        )
    port_words = "" if is_free(port) else f", and another process has port {port}: choose another one with --port"
    return f"the service ended with code {process.returncode} before it was ready{port_words}; its output is in {log}"


def _post(port: int, secret: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{QUERY}&explain=true",
        json.dumps(ROWS).encode(),
        {"token": secret, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (as above)
            return json.load(answer)
    except urllib.error.HTTPError as error:  # the token and the model are our own, so ours would have answered
        raise FivefoldError(
            f"another service answers on port {port}, with status {error.code}; choose another port with --port"
        ) from None


def is_free(port: int) -> bool:
    """Tell whether a service could listen on a port of the loopback address."""
    try:
        require_free(LOOPBACK, port)
    except ConfigError:
        return False
    return True


def any_port() -> int:
    """Find a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
