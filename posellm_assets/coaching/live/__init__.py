"""A session before a camera or from a file, coached as it happens, and its report."""
