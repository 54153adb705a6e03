"""The training loop, its settings, stopping rules, checkpoints and progress."""
