"""Routes of levels, overrides, profiles and the portfolio."""
