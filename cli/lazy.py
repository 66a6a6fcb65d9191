"""Commands that are imported on use: the overview imports none of them.

Each command is named here with its module and its summary, the first sentence of its docstring; a test compares them.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "demo": ("demo.app", "Show everything on simulated customers."),
    "train": ("value_model.train", "Train, judge, register, and promote if the gate allows it."),
    "recalibrate": ("value_model.recalibrate", "Make a new score curve for the trees of a version, judged."),
    "score": ("value_model.score", "Score every customer of a file."),
    "realised": ("value_model.realised", "Compare earlier scores with what came since."),
    "explain": ("value_model.explain", "Show what one customer's score is made of."),
    "models": ("value_model.registry", "List the registered versions, or what served on a date."),
    "promote": ("value_model.registry", "Make a version champion, if the gate allowed it."),
    "rollback": ("value_model.registry", "Make the champion before the present one champion again."),
    "indicators": ("value_model.catalogue", "Print the catalogue of indicators."),
    "ui": ("value_model.registry", "Show every run and version in a browser."),
    "warm": ("value_model.catalogue", "Compile the indicators now."),
    "simulate": ("value_model.files", "Simulate customers to try things out on."),
    "sample": ("value_model.files", "Write a sample portfolio for the ruleset fatf-retail."),
    "sort": ("value_model.files", "Group a file's rows by customer."),
    "parts": ("value_model.parts", "List what interrupted runs left."),
    "serve": ("serve", "Serve the champion over HTTP until stopped."),
    "tokens": ("serve", "Tokens: who may call the service, and what they used up."),
    "mcp": ("mcp", "Answer an agent on this machine, by the Model Context Protocol."),
    "members": ("platform.accounts", "Members: the people of an organisation, and their roles."),
    "import": ("platform.importing", "Entities and their facts, from files."),
    "level": ("platform.levels", "Show a stored customer's level and why, or count all levels."),
    "rates": ("platform.accounts", "The exchange rates in force, and tables of your own."),
    "backtests": ("platform.validation", "Backtests of rulesets, which workers run."),
    "proposals": ("platform.proposals", "Changes of what decides: one person proposes, another approves."),
    "worker": ("platform.worker", "Assess due entities, and deliver webhooks."),
    "webhooks": ("platform.webhooks", "Webhooks: endpoints, deliveries and dead letters."),
    "erase": ("platform.privacy", "Erase the data of an entity, and of entities that only it owns."),
    "erase-again": ("platform.privacy", "Put legal holds and erasures again, after a restore."),
    "hold": ("platform.privacy", "Put a legal hold on an entity, against erasure, or release it."),
    "retention": ("platform.privacy", "Show what the retention policy would remove."),
    "replay": ("platform.audit", "Compute an assessment, a decision or a run of a flow again."),
    "statement": ("platform.challenges", "Write the statement of an assessment for the person concerned."),
    "challenge": ("platform.challenges", "Challenges: a person contests an assessment."),
    "audit": ("platform.audit", "The audit log: verify it, export its heads, read it."),
    "clock": ("platform.clock", "The clocks of this machine and of the database."),
    "validate": ("platform.validation", "Measure how good the levels of a past period were."),
    "evidence": ("platform.audit", "Collect the evidence of a quarter in one archive."),
    "drift": ("value_model.registry", "Tell how far scored customers drifted."),
    "rules": ("rules.app", "Rulesets as files: lint, test, apply, compare."),
    "flows": ("flows.app", "Decision flows as files: lint, diff, test, run."),
    "groups": ("groups.app", "Named groups as files: lint, test."),
}
"""Every command in the order of the overview: the module in `cli` that adds it, and its summary."""


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name, each built when it is looked up."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            module, _ = COMMANDS[name]
            alone = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
            alone.callback()(_nothing)  # so that one command is a group too
            import_module(f"fivefold.cli.{module}").add_to(alone)
            built: Any = typer.main.get_command(alone)
            self._built |= built.commands
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
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _nothing() -> None:
    pass
