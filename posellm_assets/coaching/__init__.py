"""Coaching: what an athlete could do better, when in the clip, and how a coach would say it."""
