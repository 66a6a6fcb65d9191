"""Pages of customers, their levels, overrides and the portfolio."""
