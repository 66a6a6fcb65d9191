"""Commands of rulesets as files: `fivefold rules`."""
