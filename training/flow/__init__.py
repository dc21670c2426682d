"""The flow finder: a small network taught to tell flow from coloured notes."""
