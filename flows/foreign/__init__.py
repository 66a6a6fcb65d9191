"""Import of graphs of other systems as flows: what has no exact equivalent is a finding, named by its node."""
