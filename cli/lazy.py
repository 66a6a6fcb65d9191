"""Commands that are imported on use: the overview imports none of them.

Each is named here with its function, or its group, and its summary, the first sentence of its docstring; a test
compares them.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "demo": ("demo.app.demo", "Show everything on simulated customers."),
    "simulate": ("value_model.files.simulate", "Simulate customers to experiment with."),
    "sample": ("value_model.files.sample", "Write a sample portfolio for the ruleset fatf-retail."),
    "train": ("value_model.train.train", "Train, judge, register, and promote if the gate allows it."),
    "recalibrate": (
        "value_model.recalibrate.recalibrate",
        "Make and judge a new score curve for the trees of a version.",
    ),
    "realised": ("value_model.realised.realised", "Compare earlier scores with realised values."),
    "models": ("value_model.registry.models", "List the registered versions, or what served on a date."),
    "promote": ("value_model.registry.promote", "Make a version champion, if the gate allowed it."),
    "rollback": ("value_model.registry.rollback", "Make the previous champion the champion again."),
    "drift": ("value_model.registry.drift", "Show how far scored customers have drifted."),
    "indicators": ("value_model.catalogue.indicators", "Print the catalogue of indicators."),
    "ui": ("value_model.registry.show_interface", "Show every run and version in a browser."),
    "warm": ("value_model.catalogue.warm", "Compile the indicators now."),
    "sort": ("value_model.files.sort", "Group a file's rows by customer."),
    "parts": ("value_model.parts.parts", "List what interrupted runs left."),
    "score": ("value_model.score.score", "Score every customer of a file."),
    "serve": ("serve.serve", "Serve the champion over HTTP until stopped."),
    "tokens": ("serve.TOKENS", "Tokens: who may call the service, and how much they used."),
    "mcp": ("mcp.mcp", "Answer an agent on this machine, by the Model Context Protocol."),
    "explain": ("value_model.explain.explain", "Explain one customer's score by its indicators."),
    "rules": ("rules.app.RULES", "Rulesets as files: lint, test, apply, compare."),
    "flows": ("flows.app.FLOWS", "Decision flows as files: lint, diff, test, run."),
    "groups": ("groups.GROUPS", "Named groups as files: lint, test."),
    "members": ("platform.accounts.MEMBERS", "Members: the people of an organisation, and their roles."),
    "import": ("platform.ingest.IMPORT", "Import entities and their facts from files."),
    "level": ("platform.levels.level", "Show a stored customer's level and why, or count all levels."),
    "rates": ("platform.accounts.RATES", "The exchange rates in force, and tables of your own."),
    "backtests": ("platform.monitoring.BACKTESTS", "Backtests of rulesets, which workers run."),
    "proposals": ("platform.changes.PROPOSALS", "Changes of what decides: one person proposes, another approves."),
    "worker": ("platform.worker.worker", "Assess due entities, and deliver webhooks."),
    "webhooks": ("platform.webhooks.WEBHOOKS", "Webhooks: endpoints, deliveries and dead letters."),
    "erase": ("platform.erasure.erase", "Erase the data of an entity, and of entities that only it owns."),
    "erase-again": ("platform.erasure.erase_again", "Repeat legal holds and erasures after a restore."),
    "hold": ("platform.erasure.hold", "Put a legal hold on an entity, against erasure, or release it."),
    "retention": ("platform.erasure.retention", "Show what the retention policy would remove."),
    "replay": ("platform.audit.replay", "Compute an assessment, a decision or a run of a flow again."),
    "statement": ("platform.recourse.statement", "Write the statement of an assessment for the person concerned."),
    "challenge": ("platform.recourse.CHALLENGE", "Challenges: a person contests an assessment."),
    "audit": ("platform.audit.AUDIT", "The audit log: verify it, export its heads, read it."),
    "clock": ("platform.clock.CLOCK", "The clocks of this machine and of the database."),
    "validate": ("platform.monitoring.validate_levels", "Measure how good the levels of a past period were."),
    "evidence": ("platform.audit.evidence", "Collect the evidence of a quarter in one archive."),
}
"""Every command in the order of the overview: its place in `cli`, and its summary."""

HEADINGS = {
    "demo": "To begin",
    "train": "The data scientist: train, compare, promote",
    "score": "The app: one endpoint, or a file",
    "explain": "The investigator: why this score, why this level",
    "members": "Stored customers: levels that stay fresh",
}
"""The heading that the overview has above each of these commands and those after it, as in the README."""


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name, each built when it is looked up."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            module, _, attribute = COMMANDS[name][0].rpartition(".")
            self._built[name] = _built(name, getattr(import_module(f"fivefold.cli.{module}"), attribute))
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": None})
        self.commands = LazyCommands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the overview without importing what it lists."""
        heading = "Commands"
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, (_, summary) in COMMANDS.items():
            heading = HEADINGS.get(name, heading)
            sections.setdefault(heading, []).append((name, summary))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def _built(name: str, command: Any) -> Any:
    """Build a command from its function, or a group of commands."""
    if not isinstance(command, typer.Typer):
        from fivefold.cli.parameters import with_options

        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        alone.command(name)(with_options(command))
        command = alone
    built: Any = typer.main.get_command(command)
    built.name = name
    return built
