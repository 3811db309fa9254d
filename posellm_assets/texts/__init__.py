"""What measured movement is in words, in several languages."""
