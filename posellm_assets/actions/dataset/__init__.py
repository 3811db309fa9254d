"""Clips with the class of what they show, to train and measure on."""
