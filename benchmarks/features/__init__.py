"""Features: the kernel beside the same catalogue in pandas, Polars and DuckDB."""
