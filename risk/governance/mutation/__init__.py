"""Which small changes of a ruleset none of its examples would notice."""
