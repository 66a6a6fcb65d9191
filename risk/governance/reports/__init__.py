"""Pages of evidence about backtests and validations."""
