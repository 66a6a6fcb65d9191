"""Items that wait for a person, and who works on them."""
