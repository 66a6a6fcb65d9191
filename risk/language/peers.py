"""Numbers placed among those of peers; `expressions` defines which numbers these can be."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from fivefold.risk.language.base import LanguageModel

if TYPE_CHECKING:
    PeerNumber: TypeAlias = Any
    PeerGroup: TypeAlias = Any

PEER_WORDS = ("peer_percentile", "times_peer_median")
"""The words of the inputs that are read from a reference portfolio."""


class Peers(LanguageModel):
    """A number, and the entities among whose numbers it is placed: those of a reference portfolio.

    Attributes:
        of: the number that is placed.
        among: the peers: entities whose field has the same value, or everyone.
    """

    of: "PeerNumber"
    among: "PeerGroup"

    @property
    def group(self) -> Any:
        """The field whose value peers share; None for everyone."""
        return None if isinstance(self.among, str) else self.among


class PeerPercentile(LanguageModel):
    """The percent of peers whose number is lower, 0 to 100; unknown where there are too few of them."""

    peer_percentile: Peers


class TimesPeerMedian(LanguageModel):
    """The number over the median of the peers' numbers; unknown where there are too few, or that is not above 0."""

    times_peer_median: Peers


PeerInput = PeerPercentile | TimesPeerMedian
"""An input that is read from a reference portfolio."""


def peers_of(rule_input: Any) -> Peers | None:
    """Return the number and the peers of an input that is read from a reference portfolio; None for other inputs."""
    if isinstance(rule_input, PeerPercentile):
        return rule_input.peer_percentile
    return rule_input.times_peer_median if isinstance(rule_input, TimesPeerMedian) else None


class PeerFact(LanguageModel):
    """A fact about the peers for breakdowns, kept beside the input; no file can name it.

    Attributes:
        peer_fact: the number of peers in the reference portfolio, or the moment of their numbers.
        peers: the number, and the entities among whose numbers it is placed.
    """

    in_files: ClassVar[bool] = False
    peer_fact: Literal["count", "as_of"]
    peers: Peers
