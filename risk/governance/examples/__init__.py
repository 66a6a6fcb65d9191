"""Examples beside a ruleset: run, compared and counted for coverage."""
