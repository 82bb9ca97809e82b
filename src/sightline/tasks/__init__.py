"""Where problems come from: dataset rows, or the embedded world, as prompts, pictures and answers."""
