"""The scoring pass: rollouts under both views -> scores `[B, T]`."""
