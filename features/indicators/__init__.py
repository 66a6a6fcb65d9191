"""The catalogue: every indicator, declared once, family by family."""

from features.indicator import Catalogue, collect
from features.indicators import balance, channel, currency, quality, recency, rhythm, tenure, trend, volume

CATALOGUE: Catalogue = collect(recency, tenure, volume, rhythm, balance, trend, quality, currency, channel)
