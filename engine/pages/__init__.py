"""Reports as single HTML files: one base template, its drawings, its figures."""
