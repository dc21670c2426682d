"""The engine process: frames in, results out."""
