"""Type checks and compilation of a ruleset's conditions to column expressions."""
