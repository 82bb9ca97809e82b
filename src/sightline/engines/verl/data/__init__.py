"""A task's problems, prompts and rewards in the forms verl asks for."""
