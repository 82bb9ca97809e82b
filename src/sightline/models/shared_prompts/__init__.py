"""Several responses to one prompt in one forward that runs the prompt once, exactly."""
