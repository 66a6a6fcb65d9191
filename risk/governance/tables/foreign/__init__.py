"""Decision tables of other systems, JDM and DMN: read if rules can express exactly the same, otherwise refused."""
