"""Settings, read from the environment once at start, and frozen."""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import disk_error, protect_folder
from fivefold.domain.text import nearest

VARIABLE_VAR = "FIVEFOLD_VAR"
VARIABLE_PARENT_PROCESS = "FIVEFOLD_PARENT_PROCESS"
VARIABLE_OWNER_PROCESS = "FIVEFOLD_OWNER_PROCESS"
_OPENID = (
    "FIVEFOLD_OPENID_ISSUER",
    "FIVEFOLD_OPENID_CLIENT_ID",
    "FIVEFOLD_OPENID_CLIENT_SECRET",
    "FIVEFOLD_OPENID_ORGANISATION",
)
_SECRET = "FIVEFOLD_SECRET_"  # noqa: S105 (the prefix of variable names, not a secret)
_NAMES = frozenset(
    f"FIVEFOLD_{name}"
    for name in (
        *("AGENT_KEY", "AGENT_MODEL", "AGENT_SECONDS", "AGENT_URL"),
        *("CLOCK_TOLERANCE_SECONDS", "DATABASE_URL"),
        *("LIMIT_BYTES", "LIMIT_CONNECTIONS", "LIMIT_EXPLAINED", "LIMIT_ROWS", "LIMIT_SECONDS", "LIMIT_USERS"),
        *("MCP_HOSTS", "MODEL"),
        *("OPENID_CLAIM", "OPENID_CLIENT_ID", "OPENID_CLIENT_SECRET", "OPENID_ISSUER", "OPENID_ORGANISATION"),
        *("OPENID_PLAN", "OWNER_PROCESS", "PARENT_PROCESS", "PLANS_FILE", "SOURCES_FILE", "TOKEN"),
        *("TRUSTED_PROXIES", "VAR", "WEBHOOK_KEYS"),
    )
)
"""Every setting; `FIVEFOLD_TOKEN` is for the commands that identify a person."""
_OF_OTHERS = frozenset(f"FIVEFOLD_{name}" for name in ("DATABASE_PASSWORD", "GOLDEN", "HOST", "SUBNET", "TESTS", "URL"))
"""Variables that compose.yaml, the tests, and the examples of the documentation read."""
_OF_KUBERNETES = re.compile(r"FIVEFOLD(_\w+)?_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)")
"""Variables that Kubernetes sets in every pod for Services with names such as `fivefold` or `fivefold-worker`."""


@dataclass(frozen=True)
class Limits:
    """The limits of one request, under any plan.

    Attributes:
        body_bytes: size of the body (`FIVEFOLD_LIMIT_BYTES`).
        rows: transactions (`FIVEFOLD_LIMIT_ROWS`).
        users: customers (`FIVEFOLD_LIMIT_USERS`).
        seconds: time until the response (`FIVEFOLD_LIMIT_SECONDS`).
        explained: customers with a breakdown (`FIVEFOLD_LIMIT_EXPLAINED`): each takes as long as a hundred scores.
        connections: connections open at once, in each worker (`FIVEFOLD_LIMIT_CONNECTIONS`).
    """

    body_bytes: int = 64_000_000
    rows: int = 200_000
    users: int = 50_000
    seconds: int = 30
    explained: int = 2_000
    connections: int = 1_000


@dataclass(frozen=True)
class OpenIdSettings:
    """The identity provider by which people sign in to the console.

    Attributes:
        issuer: the provider's address, as it calls itself (`FIVEFOLD_OPENID_ISSUER`).
        client_id: the name by which the provider knows fivefold (`FIVEFOLD_OPENID_CLIENT_ID`).
        client_secret: the client's secret (`FIVEFOLD_OPENID_CLIENT_SECRET`).
        organisation: the organisation whose members sign in (`FIVEFOLD_OPENID_ORGANISATION`).
        claim: the identity token's claim that holds the member's name (`FIVEFOLD_OPENID_CLAIM`); `email` by default.
        plan: the limits of a person's requests (`FIVEFOLD_OPENID_PLAN`); `standard` by default.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    organisation: str
    claim: str = "email"
    plan: str = "standard"


@dataclass(frozen=True)
class AgentSettings:
    """The operator's own agent, which steps of flows may ask: a server of chat completions, as in OpenAI's API.

    Attributes:
        url: the address before `/chat/completions`, such as `https://llm.internal/v1` (`FIVEFOLD_AGENT_URL`). Plain
            http is allowed if the host has only private addresses.
        model: the server's name for the model (`FIVEFOLD_AGENT_MODEL`).
        key: the API key (`FIVEFOLD_AGENT_KEY`); empty by default.
        limit_seconds: the time limit of one answer (`FIVEFOLD_AGENT_SECONDS`).
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    limit_seconds: int = 30


@dataclass(frozen=True)
class Settings:
    """Where fivefold stores its data, and what it serves.

    Attributes:
        var: folder of everything generated: registry, compiled indicators, demo files (`FIVEFOLD_VAR`).
        database_url: the platform's database (`FIVEFOLD_DATABASE_URL`); SQLite in *var* by default.
        plans_file: the operator's plans (`FIVEFOLD_PLANS_FILE`); None for the shipped ones.
        model_name: name of the registered model that is served (`FIVEFOLD_MODEL`).
        limits: the limits of one request.
        webhook_keys: keys that encrypt the secrets of webhooks, the newest first (`FIVEFOLD_WEBHOOK_KEYS`, separated by
            commas).
        clock_tolerance_seconds: how far a machine's clock may be off the database's
            (`FIVEFOLD_CLOCK_TOLERANCE_SECONDS`).
        pinned_models: BentoML's folder (`BENTOML_HOME`); None for a folder in *var*, and in an image of `bentoml
            containerize`, whose own folder ends with the container.
        trusted_proxies: addresses and networks of proxies whose `X-Forwarded-Proto` and `X-Forwarded-For` are trusted
            (`FIVEFOLD_TRUSTED_PROXIES`, separated by commas); none by default.
        mcp_hosts: host names that may reach `/mcp`, with a port unless it is 443 (`FIVEFOLD_MCP_HOSTS`, separated by
            commas); loopback names always may.
        tracking: an external MLflow server or database (`MLFLOW_TRACKING_URI`); empty for the embedded one.
        openid: the identity provider; None if people sign in to the console only by tokens.
        sources_file: the operator's external data sources (`FIVEFOLD_SOURCES_FILE`); None for none.
        secrets: the secrets of those sources, by name (`FIVEFOLD_SECRET_<name>`).
        agent: the agent that flows may ask; None by default.
        parent_process: number of the process that started the service (`FIVEFOLD_PARENT_PROCESS`), set by `fivefold
            serve` itself; 0 if another program started it.
        owner_process: number of the process with which the service ends (`FIVEFOLD_OWNER_PROCESS`), set by `fivefold
            demo` itself; 0 for none.
    """

    var: Path
    database_url: str = ""
    plans_file: Path | None = None
    model_name: str = "fivefold-value"
    limits: Limits = Limits()
    pinned_models: Path | None = None
    webhook_keys: tuple[str, ...] = field(default=(), repr=False)
    clock_tolerance_seconds: int = 60
    trusted_proxies: tuple[str, ...] = ()
    mcp_hosts: tuple[str, ...] = ()
    tracking: str = ""
    openid: OpenIdSettings | None = None
    sources_file: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    agent: AgentSettings | None = None
    parent_process: int = 0
    owner_process: int = 0

    def protect_var(self) -> None:
        """Create the folder of everything generated, or make it private; ConfigError if that fails."""
        self.protect(self.var)

    def protect(self, folder: Path) -> None:
        """Create a folder of *var*, or make it private, in the same way."""
        with _writable(folder):
            protect_folder(folder)

    @contextmanager
    def lock(self, file: Path, *, wait: bool = True) -> Iterator[None]:
        """Hold a lock in *var* within the block, as one process at a time may; the system frees it if the process dies.

        Raises:
            ConfigError: the lock's file cannot be written.
            Timeout: another process has the lock, and this one does not *wait*.
        """
        lock = FileLock(file, timeout=-1 if wait else 0)
        with _writable(file):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @property
    def tracking_uri(self) -> str:
        """MLflow's address: the embedded database unless another is set."""
        return self.tracking or f"sqlite:///{self.registry}"

    @property
    def tracking_shown(self) -> str:
        """MLflow's address without its password and its query, for messages."""
        return without_password(self.tracking_uri)

    @property
    def embedded(self) -> bool:
        """Whether the registry is the embedded file in *var*."""
        return self.tracking_uri == f"sqlite:///{self.registry}"

    @property
    def registry_shown(self) -> str:
        """The registry's place for people: the folder of the embedded one, or MLflow's address without a password."""
        return str(self.var) if self.embedded else self.tracking_shown

    @property
    def has_registry(self) -> bool:
        """Whether a registry exists, as far as files tell; one in SQLite is created by the first training."""
        scheme, _, file = self.tracking_uri.partition(":///")
        return scheme != "sqlite" or Path(file.partition("?")[0]).is_file()

    @property
    def registry(self) -> Path:
        """The file of the embedded MLflow's database, created by the first training."""
        return self.var / "mlflow.db"

    @property
    def database(self) -> str:
        """The address of the database."""
        return self.database_url or f"sqlite:///{self.var / 'fivefold.db'}"

    @property
    def bentoml_home(self) -> Path:
        """BentoML's folder: the models that this machine serves."""
        return self.pinned_models or self.var / "bentoml"

    @property
    def metrics_files(self) -> Path:
        """The folder with a folder for each service, whose files let its processes share their metrics.

        It is not BentoML's, which every service removes with its content as it starts.
        """
        return self.var / "metrics"

    @property
    def artifacts(self) -> Path:
        """The embedded MLflow's files."""
        return self.var / "artifacts"

    @property
    def erasures(self) -> Path:
        """The register of erasures; it survives the restore of a database backup."""
        return self.var / "erasures.jsonl"

    @property
    def webhook_key_file(self) -> Path:
        """The file of the key that encrypts the secrets of webhooks, used if `webhook_keys` is empty."""
        return self.var / "webhook.key"

    @property
    def kernels(self) -> Path:
        """The compiled indicators."""
        return self.var / "kernels"


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, Timeout) or disk_error(error) is not None:
            raise
        raise ConfigError(
            f"{path} cannot be made ({error.strerror}); {VARIABLE_VAR} must name a folder that can be written"
        ) from error


def without_password(text: str) -> str:
    """Remove names, passwords and queries, which may hold a secret too, from the addresses in a text.

    >>> without_password("https://ann:secret@host/path does not answer")
    'https://host/path does not answer'
    >>> without_password("https://ann:se@c/r?et@host/?token=secret")
    'https://host/'
    >>> without_password("no answer with url: /?token=secret/api (refused)")
    'no answer with url: / (refused)'
    """
    return re.sub(r"((?:://|\burl: /)[^\s?]*)\?\S*", r"\1", re.sub(r"(?<=://)(?:[^/\s:@]*:\S*|[^/\s]*)@", "", text))


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from *environment* (by default the process's own); ConfigError for a wrong one.

    >>> read_settings({"FIVEFOLD_VAR": "/data"}).tracking_uri
    'sqlite:////data/mlflow.db'
    """
    variables = os.environ if environment is None else environment
    is_image = "BENTOML_CONTAINERIZED" in variables
    plans, sources = _path(variables, "FIVEFOLD_PLANS_FILE"), _path(variables, "FIVEFOLD_SOURCES_FILE")
    defaults = Limits()
    return Settings(
        pinned_models=None if is_image else _absolute(_path(variables, "BENTOML_HOME")),
        var=(_path(variables, VARIABLE_VAR) or Path("var")).absolute(),
        database_url=variables.get("FIVEFOLD_DATABASE_URL", ""),
        plans_file=plans,
        model_name=variables.get("FIVEFOLD_MODEL") or "fivefold-value",
        tracking=variables.get("MLFLOW_TRACKING_URI", ""),
        limits=Limits(
            _positive(variables, "FIVEFOLD_LIMIT_BYTES", defaults.body_bytes),
            _positive(variables, "FIVEFOLD_LIMIT_ROWS", defaults.rows),
            _positive(variables, "FIVEFOLD_LIMIT_USERS", defaults.users),
            _positive(variables, "FIVEFOLD_LIMIT_SECONDS", defaults.seconds, MOST_SECONDS),
            _positive(variables, "FIVEFOLD_LIMIT_EXPLAINED", defaults.explained),
            _positive(variables, "FIVEFOLD_LIMIT_CONNECTIONS", defaults.connections),
        ),
        webhook_keys=tuple(key for key in re.split(r"[,\s]+", variables.get("FIVEFOLD_WEBHOOK_KEYS", "")) if key),
        clock_tolerance_seconds=_positive(variables, "FIVEFOLD_CLOCK_TOLERANCE_SECONDS", 60, MOST_SECONDS),
        trusted_proxies=_networks(variables, "FIVEFOLD_TRUSTED_PROXIES"),
        mcp_hosts=_hosts(variables, "FIVEFOLD_MCP_HOSTS"),
        openid=_openid(variables),
        sources_file=_absolute(sources),
        secrets={name.removeprefix(_SECRET): value for name, value in variables.items() if name.startswith(_SECRET)},
        agent=_agent(variables),
        parent_process=_positive(variables, VARIABLE_PARENT_PROCESS, 0),
        owner_process=_positive(variables, VARIABLE_OWNER_PROCESS, 0),
    )


def unknown_settings(environment: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """List variables of *environment* that begin like settings but are unknown, each with the most similar setting.

    >>> unknown_settings({"FIVEFOLD_" + "LIMIT_ROW": "5", "FIVEFOLD_VAR": "/data"})[0][1].lower()
    'fivefold_limit_rows'
    """
    variables = os.environ if environment is None else environment
    unknown = (
        name
        for name in sorted(variables)
        if name.startswith("FIVEFOLD_")
        and name not in _NAMES | _OF_OTHERS
        and not name.startswith(_SECRET)
        and not _OF_KUBERNETES.fullmatch(name)
    )
    return [(name, nearest(name, sorted(_NAMES), 0) or "") for name in unknown]


MOST = 10**12
"""The largest number of a setting."""
_MOST_DIGITS = 100
"""Python itself refuses to read a number of thousands of digits."""
MOST_SECONDS = 10**6
"""Eleven days: PostgreSQL counts its limits in milliseconds, up to twice as many."""
MOST_AGENT_SECONDS = 30
"""A worker waits for the answer while it holds a lease, and other runs wait for the worker."""


def _agent(environment: Mapping[str, str]) -> AgentSettings | None:
    """Read the agent's settings: the address and the model, or neither."""
    url, model = environment.get("FIVEFOLD_AGENT_URL", ""), environment.get("FIVEFOLD_AGENT_MODEL", "")
    if not url and not model:
        return None
    if not url or not model:
        raise ConfigError("FIVEFOLD_AGENT_URL and FIVEFOLD_AGENT_MODEL must be set together")
    key = environment.get("FIVEFOLD_AGENT_KEY", "")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("FIVEFOLD_AGENT_KEY must be printable ASCII, as an HTTP header requires")
    seconds = _positive(environment, "FIVEFOLD_AGENT_SECONDS", 30, MOST_AGENT_SECONDS)
    return AgentSettings(url.rstrip("/"), model, key, seconds)


def _openid(environment: Mapping[str, str]) -> OpenIdSettings | None:
    """Read the identity provider's settings: either all that have no default are set, or none."""
    required = {name: environment.get(name, "") for name in _OPENID}
    if not any(required.values()):
        return None
    if lacking := [name for name, value in required.items() if not value]:
        raise ConfigError(f"{', '.join(lacking)} must be set too if one of the identity provider's settings is set")
    issuer, client_id, client_secret, organisation = required.values()
    if not issuer.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ConfigError(f"FIVEFOLD_OPENID_ISSUER is {issuer!r}; it must be an address that begins with https://")
    return OpenIdSettings(
        issuer,
        client_id,
        client_secret,
        organisation,
        environment.get("FIVEFOLD_OPENID_CLAIM") or "email",
        environment.get("FIVEFOLD_OPENID_PLAN") or "standard",
    )


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    """Read a path; None if the variable is empty, ConfigError if the home that `~` means is unknown."""
    text = environment.get(name)
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError:
        raise ConfigError(f"{name} is {text!r}, and that home is not known here; write the path without ~") from None


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _positive(environment: Mapping[str, str], name: str, default: int, most: int = MOST) -> int:
    text = environment.get(name)
    if not text:
        return default
    if len(text) > _MOST_DIGITS:
        raise ConfigError(f"{name} has {len(text):,} characters; it must be a whole number from 1 to {most}")
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"{name} is {text!r}; it must be a whole number above 0")
    if int(text) > most:
        raise ConfigError(f"{name} is {text}; it must be at most {most}")
    return int(text)


_HOST = re.compile(r"([\w-]+(\.[\w-]+)*\.?|\[[0-9a-f:.]+\])(:((?P<port>[0-9]{1,5})|\*))?", re.ASCII)
_MOST_PORT = 65_535


def _hosts(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read names of hosts separated by commas; ConfigError names an invalid one, which no request could match.

    They are in lower case, as clients send them.
    """
    hosts = tuple(text.lower() for text in re.split(r"[,\s]+", environment.get(name, "")) if text)
    for text in hosts:
        match = _HOST.fullmatch(text)
        if match is None or not 0 < int(match["port"] or 1) <= _MOST_PORT:
            raise ConfigError(
                f"{name} has {text!r}; it must be names of hosts, each with its port unless that is 443, "
                "separated by commas, such as scores.example,10.0.0.5:8443"
            )
    return hosts


def _networks(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read addresses and networks separated by commas; ConfigError names an invalid one."""
    networks = tuple(text for text in re.split(r"[,\s]+", environment.get(name, "")) if text)
    for text in networks:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ConfigError(
                f"{name} has {text!r}; it must be addresses or networks, separated by commas,"
                f" such as 10.0.0.5,172.18.0.0/16 ({error})"
            ) from None
    return networks


def require_model_name(name: object, setting: str = "the model's name") -> None:
    """Raise ConfigError if the name of a model is invalid; the message names the *setting* that it comes from."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise ConfigError(f"{setting} is {name!r}; it may hold letters, digits and the signs . _ -")


def model_address(text: str, name: str) -> str:
    """Return MLflow's address of a version, given as `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or its number.

    >>> model_address("7", "value"), model_address("models:/other@champion", "value")
    ('models:/value/7', 'models:/other@champion')
    """
    return f"models:/{name}/{text}" if re.fullmatch(r"[1-9][0-9]*", text) else text


def parse_model_uri(uri: str) -> tuple[str, bool, str]:
    """Parse MLflow's address of a model: its name, whether an alias follows, and the version or the alias.

    >>> parse_model_uri("models:/value/3"), parse_model_uri("models:/value@champion")
    (('value', False, '3'), ('value', True, 'champion'))
    """
    match = re.fullmatch(r"models:/([\w.-]+)(?:/([1-9][0-9]{0,8})|@([\w.-]+))", uri)
    if match is None:
        raise ConfigError(
            f"model is {uri!r}; it must be models:/NAME/VERSION or models:/NAME@ALIAS, or the number of a version"
        )
    name, version, alias = match.groups()
    return name, alias is not None, alias or version
