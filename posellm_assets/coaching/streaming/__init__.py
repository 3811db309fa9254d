"""The coach that speaks while somebody exercises, and what it learns from."""
