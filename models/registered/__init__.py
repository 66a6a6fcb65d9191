"""Any model of the registry: found by name and alias, known by its signature, loaded, asked and explained."""
