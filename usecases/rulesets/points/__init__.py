"""Points of a ruleset, learnt from the platform's own cases and left as a draft."""
