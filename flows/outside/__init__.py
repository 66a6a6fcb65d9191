"""Steps whose outcome comes from outside: what they ask, and what came back."""
