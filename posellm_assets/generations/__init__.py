"""The life of models: what each was trained on, when to train the next, which is in use."""
