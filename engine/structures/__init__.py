"""What one picture shows of a fetal head: its plane, its structures, its size. No torch in here."""
