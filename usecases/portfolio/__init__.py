"""The portfolio of an organisation: current levels, moves, search; and the events of one entity."""
