"""An archive in, one table out: thousands of recorded exams, on all cores or on a cluster."""
