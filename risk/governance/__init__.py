"""Tools of a compliance team for rulesets before and after they decide: lint, test, compare, backtest, validate."""
