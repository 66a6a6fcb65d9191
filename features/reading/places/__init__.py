"""Places of transactions: addresses, and the Parquet that is found there."""
