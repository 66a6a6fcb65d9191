"""Rulesets found on data sets with confirmed cases, judged on others."""
