"""What cards are drawn from: animals, buildings, land, machines, people, places, sky, things."""
