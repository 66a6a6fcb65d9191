"""Forms for the triggers, the actions and the steps of a flow, made of the language's own models."""
