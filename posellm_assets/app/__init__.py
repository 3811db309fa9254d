"""A page in the browser: describe, recognise, generate, coach, and what is in the lake. Everything here is a shell."""
