"""Routes of rulesets and activations."""
