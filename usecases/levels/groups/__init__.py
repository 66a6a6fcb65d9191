"""Groups on the platform: the stored links of entities, and which entities to assess again when a fact arrives."""
