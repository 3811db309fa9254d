"""PoseLLM Assets: raw sports footage in, a motion language model out."""

__version__ = "0.1.0"
