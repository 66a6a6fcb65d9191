"""A request's JSON body: counted, then scanned straight into columns."""
