"""Numbers placed among those of peers, which a reference portfolio holds."""
