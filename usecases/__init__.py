"""One function for each thing that a person or a trigger does; only here do database transactions begin and end."""
