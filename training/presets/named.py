"""The presets by name: what each sets in place of a default. They are data; nothing else depends on a name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import count_text
from fivefold.training.config import TrainingConfig
from fivefold.training.windows import list_text

SAID: Mapping[str, tuple[str, ...]] = {
    "trees": ("leaves", "learning_rate", "tweedie_power", "objective"),
    "snapshots": ("most", "spacing_days"),
}
"""The fields that descriptions of presets name."""
CHOOSE = "choose"
"""The option for a choice among the presets; any other word names one of them."""


@dataclass(frozen=True)
class Preset:
    """Settings that suit data of some shape.

    Attributes:
        name: for people and options.
        about: what it differs in, for people.
        snapshots: fields of `SnapshotSettings` that it sets.
        trees: fields of `TreeSettings` that it sets.
    """

    name: str
    about: str
    snapshots: Mapping[str, Any] = field(default_factory=dict)
    trees: Mapping[str, Any] = field(default_factory=dict)

    def over(self, config: TrainingConfig) -> TrainingConfig:
        """Return the settings with those of the preset; what a person set in either section stays as it is.

        >>> mine = TrainingConfig.model_validate({"trees": {"leaves": 63}})
        >>> found = preset("small-trees").over(mine).trees
        >>> (found.leaves, found.learning_rate)
        (63, 0.03)
        """
        sections = {"snapshots": self.snapshots, "trees": self.trees}
        changed = {}
        for name, fields in sections.items():
            section = getattr(config, name)
            open_fields = {key: value for key, value in fields.items() if key not in section.model_fields_set}
            if open_fields:
                changed[name] = section.model_copy(update=open_fields)
        return config.model_copy(update=changed) if changed else config

    def about_over(self, config: TrainingConfig) -> str:
        """Describe the preset over the settings for people: in its own words if these set none of its fields.

        >>> mine = TrainingConfig.model_validate({"trees": {"leaves": 63}, "snapshots": {"most": 9}})
        >>> preset("small-trees").about_over(mine)
        '63 leaves, learning rate 0.03, Tweedie power 1.5, the last 9 dates, 30 days apart'
        """
        if not any(set(SAID[name]) & getattr(config, name).model_fields_set for name in SAID):
            return self.about
        used = self.over(config)
        trees, snapshots = used.trees, used.snapshots
        power = f"Tweedie power {trees.tweedie_power:g}" if trees.objective == "tweedie" else trees.objective
        return (
            f"{trees.leaves} leaves, learning rate {trees.learning_rate:g}, {power}, "
            f"the last {count_text(snapshots.most, 'date')}, {count_text(snapshots.spacing_days, 'day')} apart"
        )


SMALL: Mapping[str, Any] = {"leaves": 8, "learning_rate": 0.03}
"""Trees for data with little signal: 8 leaves, learnt half as fast."""

PRESETS = (
    Preset("standard", "every default: 31 leaves, the last 24 dates, 30 days apart"),
    Preset("small-trees", "8 leaves, learnt half as fast", trees=SMALL),
    Preset("many-zeros", "as small-trees, with Tweedie power 1.2", trees={**SMALL, "tweedie_power": 1.2}),
    Preset("long-history", "the last 60 dates, 30 days apart", snapshots={"most": 60}),
    Preset("recent", "as small-trees, on the last 12 dates, 15 days apart", {"spacing_days": 15, "most": 12}, SMALL),
)
"""The simpler first: of presets that do equally well the first is chosen, and the very first is the default."""

UNTRIED = "small-trees"
"""The preset for data too few to try any on: there large trees learn noise (`benchmarks.value.presets`)."""


def preset(name: str) -> Preset:
    """Return a preset by its name; ConfigError, with all names, for an unknown name."""
    for each in PRESETS:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in PRESETS)
    raise ConfigError(f"there is no preset {name!r}; there are {names}, and `{CHOOSE}`")


def preset_by_default(configured: bool, tune_trials: int) -> str:
    """Return the preset option of a run without one: a choice, unless settings are given or tuned.

    Tuning replaces what a preset sets, so a choice before it would be useless.

    >>> preset_by_default(False, 0), preset_by_default(False, 50), preset_by_default(True, 0)
    ('choose', '', '')
    """
    return "" if configured or tune_trials else CHOOSE


def asked_presets(option: str) -> tuple[Preset, ...]:
    """Return the presets of an option: all for `choose`, one by its name, the default if it is empty.

    >>> [each.name for each in asked_presets("")]
    ['standard']
    """
    return PRESETS if option == CHOOSE else (preset(option) if option else PRESETS[0],)


def rounds_warnings(presets: Sequence[Preset], config: TrainingConfig) -> tuple[str, ...]:
    """Warn of a number of rounds that the settings fix, if presets learn at another rate than the settings.

    >>> rounds_warnings(PRESETS[:2], TrainingConfig.model_validate({"trees": {"rounds": 30, "learning_rate": 0.1}}))
    ()
    """
    trees = config.trees
    others = [each.name for each in presets if each.over(config).trees.learning_rate != trees.learning_rate]
    if trees.rounds is None or not others:
        return ()
    text = (
        f"trees.rounds is {trees.rounds} whatever the preset, also at another learning rate than "
        f"{trees.learning_rate:g} ({list_text(others)}), for which so many may be too few: leave trees.rounds out, and "
        "their number is found; or set trees.learning_rate too"
    )
    return (text,)
