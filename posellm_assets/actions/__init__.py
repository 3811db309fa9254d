"""Which action a clip shows: several members are asked, and their opinions weighed."""
