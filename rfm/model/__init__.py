"""Qwen-VL models: loading, the `tiny` preset, freezing, adapters, quantization, attention."""
