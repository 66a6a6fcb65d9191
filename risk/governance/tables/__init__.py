"""Decision tables: the cases of one rule as rows, written and read; tables of JDM and DMN if rules can express them."""
