"""The motion language model: vocabulary, tasks, training, decoding."""
