"""How fast the real pipeline is, beside one hand-tuned process on the same clip in the same run."""
