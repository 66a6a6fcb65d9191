"""One entity: the second back end of the checked ruleset, plain functions of a row instead of queries over columns."""
