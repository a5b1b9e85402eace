"""Two real pretrained models answer code and mathematics; see the README here."""
