"""Trees as text and as tables: checks before LightGBM reads them, and predictions for many rows at once."""
