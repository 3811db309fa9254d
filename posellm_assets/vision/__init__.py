"""Vision-language models: frames and questions in, answers out. What is asked is for the rooms that ask to say."""
