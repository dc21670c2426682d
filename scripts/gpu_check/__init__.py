"""What only an NVIDIA GPU can show, step by step; each writes what it finds as it finds it."""
