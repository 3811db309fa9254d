"""The footage that the project renders for itself: athletes, movements and cameras from a seed, with exact truth."""
