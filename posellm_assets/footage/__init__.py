"""Videos and motion capture as they come: found, registered, split, decoded; what their owners say of them."""
