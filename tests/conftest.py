"""One setting for all tests: a persistent compilation cache, and eight simulated devices for the engine's tests."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling dominates small shapes: without XLA's expensive passes the suite takes two thirds of the time. The slow tests, the
# benchmarks and every run of the command outside the suite use full optimization.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
