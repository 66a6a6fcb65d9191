"""Steps that ask a policy, a ruleset, the value or another flow on the same facts, and why they gave their outcomes."""
