"""What comes from and goes to the hospital: its worklist, whose an exam is, what is to be sent."""
