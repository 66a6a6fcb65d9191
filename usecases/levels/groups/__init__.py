"""Groups on the platform: the stored links of entities, and who has to be looked at again when a fact comes."""
