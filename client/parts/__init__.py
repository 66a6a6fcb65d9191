"""The client's calls by capability: the types of answers, the routes as data, and a class whose methods call them."""
