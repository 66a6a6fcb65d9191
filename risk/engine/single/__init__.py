"""The second back end of rulesets, for one entity: plain functions of a row instead of queries over columns."""
