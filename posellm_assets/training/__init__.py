"""How every model is trained: the loop that resumes, saves and stops; checkpoints, their store, and the optimizer."""
