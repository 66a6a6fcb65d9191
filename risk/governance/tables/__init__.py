"""Decision tables: the cases of one rule as rows, written and read; tables of JDM and DMN where they can be said."""
