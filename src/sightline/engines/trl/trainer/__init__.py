"""TRL's GRPOTrainer with a method's weights, by subclass."""
