"""The processes of a session: how they start, talk, are watched and accounted for."""
