"""Movement in body coordinates, from any source, and its codes."""
