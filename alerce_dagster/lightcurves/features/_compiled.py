"""How kernels are compiled: kept on disk, free of the interpreter's lock, 0/0 a NaN instead of an exception.

Numba compiles a kernel again when its own file has changed, not when one that it calls has: while working on a kernel
here, `touch` the files that use it.
"""

from numba import njit

kernel = njit(cache=True, nogil=True, error_model="numpy")
fast_kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath=True)  # finite input, any order of sums
