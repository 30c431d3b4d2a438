"""The network, and how it is trained: torchrun, DeepSpeed, checkpoints."""
