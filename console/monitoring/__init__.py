"""Pages of validation: how well the levels predicted, and when to validate again."""
