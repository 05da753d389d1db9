"""How often and how much at once a team may call: permits by the window, counted in the database, handed out here."""
