"""Commands of the platform: import, levels, worker, proposals, audit and the rest."""
