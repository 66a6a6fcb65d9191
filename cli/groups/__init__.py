"""`fivefold groups`: named groups as files."""
