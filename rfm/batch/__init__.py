"""From a dataset row to the tensors a Qwen-VL model takes: conversation, patches, positions, collator."""
