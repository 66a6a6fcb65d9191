"""A ruleset at work: compiled once, it assesses a frame of entities, one or a million."""
