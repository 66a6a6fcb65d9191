"""Predicted against realised value, live: predictions are kept, and judged once their horizon has passed."""
