"""Commands of the value model: train, score, explain, and the registry."""
