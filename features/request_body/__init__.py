"""The fast path of a request's JSON body: scanned straight into columns."""
