"""Models that learn to answer as the labels do, from movement or from pictures."""
