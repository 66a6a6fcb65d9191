"""Rulesets as data: assessed by the column, one customer or a million. Pure: no file, no database, no web."""
