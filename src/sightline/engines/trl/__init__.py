"""The TRL engine: GRPOTrainer with a method's weights, by subclass, without a fork."""
