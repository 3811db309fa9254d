"""What an athlete could do better in a clip, as a teacher says it and the measured pose confirms."""
