"""Gemma 3's text model on one GPU: our own forward passes, which `engine.runners.torch_runner` runs.

`shape` and `memory` are arithmetic without torch. `weights` and `lora` hold what is loaded, `cache` what was
read; `model` is the two passes, over `ops` (plain torch, any device) or `triton_ops` (its `kernels`, CUDA).
"""
