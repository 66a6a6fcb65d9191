"""The catalogue: every indicator, declared once, family by family."""

from fivefold.features.catalogue.indicator import Catalogue, collect
from fivefold.features.indicators import balance, channel, currency, quality, recency, rhythm, tenure, trend, volume

CATALOGUE: Catalogue = collect(recency, tenure, volume, rhythm, balance, trend, quality, currency, channel)
