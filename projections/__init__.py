"""The read side: one module per read model, and the engine that keeps them equal to the fold of the log."""
