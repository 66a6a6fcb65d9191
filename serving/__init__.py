"""The BentoML service and its HTTP routes: parse, call a use case, format."""
