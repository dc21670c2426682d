"""What only a host with an NVIDIA GPU can show: a step a module, each in a process of its own."""
