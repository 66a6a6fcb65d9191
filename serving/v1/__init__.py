"""The platform's routes under /v1: one table says who may ask what, and each calls one use case."""
