"""Run and results folders, whole or damaged, as plain values; their content is not trusted."""
