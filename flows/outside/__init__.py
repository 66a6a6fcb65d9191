"""Steps whose outcome comes from outside: their questions, and the outcomes."""
