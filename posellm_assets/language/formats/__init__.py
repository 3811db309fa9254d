"""The data sets and models of others, and ours in their formats."""
