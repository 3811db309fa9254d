"""How good a generation of the motion language model is, beside its baselines and the one before."""
