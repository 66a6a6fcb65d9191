"""Labels and a peer's figures from files, as those who judge a ruleset take them."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.validate.labels import dated_only
from fivefold.risk.governance.validate.peers import PeerFigures, read_peer_text
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles
from fivefold.usecases.portfolio_files.tables import read_labels


class LabelledFile:
    """Labels from a file; entities with an unreadable one are left out, as their outcome is unknown."""

    def __init__(self, files: PortfolioFiles, path: Path, *, undated_known: bool) -> None:
        self.labels, unread = read_labels(files.table("labels", path))
        self._unreadable = unread.drop_nulls().unique()
        self._undated_known = undated_known
        self.cautions = _unread(len(self._unreadable), unread.null_count())

    def dated(self, portfolio: Portfolio) -> tuple[Portfolio, tuple[str, ...]]:
        """Keep what was known at as-of, with cautions about what shows no date."""
        named = portfolio.entities[ENTITY].cast(pl.String).is_in(self._unreadable.implode())
        entities = portfolio.entities.filter(~named)
        return dated_only(replace(portfolio, entities=entities), undated_known=self._undated_known)


def _unread(entities: int, nameless: int) -> tuple[str, ...]:
    """Describe how unreadable labels are treated."""
    cautions = []
    if entities:
        cautions.append(f"{entities:,} entities have a label that cannot be read, and are left out.")
    if nameless:
        cautions.append(f"{nameless:,} labels cannot be read and name no entity: they count as not confirmed.")
    return tuple(cautions)


def read_peer_file(path: Path) -> PeerFigures:
    """Read a peer's figures from JSON; ConfigError where they cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as problem:  # no such file, or no UTF-8
        raise ConfigError(f"{path} cannot be read as JSON: {problem}") from None
    return read_peer_text(text, str(path))
