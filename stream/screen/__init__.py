"""The scanner's screen: where the ultrasound is, what is written on it, what changes."""
