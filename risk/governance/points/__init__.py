"""Points learnt from confirmed cases, within the rules as they are written."""
