"""Predicted against realised value on the platform: predictions are kept, and judged once their horizon has passed."""
