"""OAuth2 authorization servers: their keys, their answers, and what their tokens mean here."""
