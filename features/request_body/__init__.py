"""A request's JSON body: counted before it is read, and its rows as columns."""
