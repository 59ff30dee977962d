"""How kernels are compiled: kept on disk, free of the interpreter's lock, 0/0 a NaN instead of an exception."""

from numba import njit

kernel = njit(cache=True, nogil=True, error_model="numpy")
fast_kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath=True)  # finite input, any order of sums
