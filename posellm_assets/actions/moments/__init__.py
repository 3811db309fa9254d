"""Where in a video to look: hits, shots, windows, repetitions."""
