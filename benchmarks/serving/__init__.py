"""Serving: the endpoint beside a floor and beside MLflow's server."""
