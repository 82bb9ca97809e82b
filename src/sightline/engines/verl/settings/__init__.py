"""Settings of a verl run: flags, YAML and a method's defaults -> checked settings -> verl's configuration."""
