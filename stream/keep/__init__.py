"""What is kept of an exam: key frames, clips, films."""
