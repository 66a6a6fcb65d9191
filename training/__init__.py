"""From histories to a registered, judged and explained value model: `retrain` reads top to bottom."""
