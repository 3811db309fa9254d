"""Who is where in each frame: landmarks, whom a clip is about, and whether that can be used."""
