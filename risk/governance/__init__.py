"""What a compliance team does with rulesets before and after they decide: lint, test, compare, backtest, validate."""
