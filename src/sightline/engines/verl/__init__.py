"""Training with verl, which is not changed: Ray, FSDP2, vLLM or SGLang rollouts, one machine or many."""
