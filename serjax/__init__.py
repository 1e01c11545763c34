"""Speech emotion recognition in JAX, in real and quaternion numbers."""

__version__ = "0.1.0"
