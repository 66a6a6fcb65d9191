"""Routes of the value model's versions."""
