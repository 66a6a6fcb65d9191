"""How sure a prediction is: an interval about the expected value, and about the score."""
