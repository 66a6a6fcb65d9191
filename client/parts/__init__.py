"""The client's calls by capability: each module has its routes as data, and a class whose methods call them."""
