"""Channel: how the customer reaches the service."""

from math import nan

from fivefold.features.catalogue.indicator import indicator
from fivefold.features.histories import Integers


@indicator("channel_web", label="Latest event by web", unit="flag", empty=nan)
def channel_web(category: Integers) -> float:
    """1 where the latest event came by WEB, 0 by API."""
    return float(category[len(category) - 1]) if len(category) else nan
