"""Whether the files of a lake are what they were when they were made, and how those that are not come back."""
