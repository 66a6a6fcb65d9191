"""Decision tables of other systems, JDM and DMN: read where rules can say exactly the same, otherwise refused."""
