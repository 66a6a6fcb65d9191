"""The value model: expected value, score from 1 to 5, segment, explanation; and the registry of its versions."""
