"""What steps ask on the same facts - a policy, a ruleset, the value, another flow - and why it came out so."""
