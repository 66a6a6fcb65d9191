"""What a ruleset reads of a portfolio, as one frame: a row for each entity, a column for each input."""
