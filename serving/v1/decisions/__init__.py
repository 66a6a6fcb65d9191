"""Routes of decisions and policies."""
