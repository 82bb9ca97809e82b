"""One row: its columns, images, prompt, and what is wrong with it."""
