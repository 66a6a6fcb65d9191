"""The handlers of `/v1`, by capability: each returns the result of a use case."""
