"""verl on CPUs, for small models: a platform without accelerators and rollouts by Sightline's own sampler."""
