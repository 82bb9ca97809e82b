"""What runs in verl's processes: the engine that scores, the trainer that weights, the buffer of groups."""
