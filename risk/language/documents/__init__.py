"""YAML documents: read with positions, and what is wrong with them in plain words."""
