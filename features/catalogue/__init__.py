"""The catalogue of indicators and the kernel that computes all of them."""
