"""POST /v4/scoring: the contract, the endpoint and its application."""
