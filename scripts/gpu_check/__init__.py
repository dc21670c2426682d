"""What a machine with an NVIDIA GPU is asked, step by step; for developers."""
