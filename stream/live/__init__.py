"""An exam beside a scanner."""
