"""What each training and report is given: pure functions of the lake, the settings and a partition key.

They stand above the rooms, because only here settings and rooms meet; whoever starts a program (an asset, a notebook, a
bench) takes its job from here.
"""
