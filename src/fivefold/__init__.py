"""What each customer is worth and how risky each customer is, and exactly why.

The rooms of this package are the folders at the top of the repository; here are links to them.
"""
