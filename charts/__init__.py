"""Every picture once, as Altair specifications rendered to SVG or PNG; and the waterfall as plain text."""
