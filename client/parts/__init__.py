"""What a client can ask for, by capability: each module has its calls, and a class whose methods make them."""
