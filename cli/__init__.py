"""The `fivefold` command: parse, call one function, print."""
