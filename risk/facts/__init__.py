"""The inputs of a ruleset from a portfolio, as one frame: a row for each entity, a column for each input."""
