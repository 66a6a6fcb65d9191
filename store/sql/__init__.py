"""The database itself: connections, transactions, bulk statements, keyset pages and clocks."""
