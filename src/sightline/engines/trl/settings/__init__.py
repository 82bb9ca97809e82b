"""Settings of a TRL run: flags, YAML and a method's defaults -> one checked `TrainConfig`."""
