"""`fivefold demo`: both sides on simulated customers."""
