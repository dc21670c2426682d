"""The flow finder: trees taught on painted flow and coloured writing to tell one from the other."""
