"""Vision-language models: loading, families, generation, and the scoring pass (views -> scores)."""
