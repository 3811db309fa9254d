"""Who is asked about a clip, and how their opinions become one."""
