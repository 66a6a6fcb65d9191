"""What a ruleset may say: the checked form of its YAML or JSON."""
