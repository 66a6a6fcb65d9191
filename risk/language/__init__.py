"""The language of rulesets: the checked form of their YAML or JSON."""
