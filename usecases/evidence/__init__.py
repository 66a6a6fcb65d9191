"""Archives of evidence: everything that decided in a quarter, and who decided it."""
