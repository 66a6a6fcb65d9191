"""Routes of validations and material changes."""
