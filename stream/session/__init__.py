"""One exam on three processes: what was asked, the words between them, and the accounts."""
