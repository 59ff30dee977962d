"""The compiled part of the Avro reader: runs a program over bytes that nobody vouches for.

Every read is checked against the end of the datum, nesting has a limit, and counts are weighed against the
bytes that are left, so hostile input ends in an error code, never in a read out of bounds or an endless loop.
Only numba code belongs here; it is imported when the first packet is decoded, not when the package is loaded.

The compiled code is kept on disk (`NUMBA_CACHE_DIR`, else next to this file, else numba's user cache when the
package's folder cannot be written), so it is compiled once per machine and version.
"""

# mypy: disable-error-code="assignment"
# ruff: noqa: SIM109
# (numba gives a variable one type for all of a function, and compares numbers faster than it searches tuples)

import numpy as np
from numba import njit

from alerce_dagster.surveys.avro_schema import OPERATIONS

# Written out rather than imported: numba's disk cache notices changes of this file alone.
END, RETURN, CALL, JUMP, OPTION, UNION, ARRAY, NEXT = 0, 1, 2, 3, 4, 5, 6, 7
NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, FIXED, ENUM = 8, 9, 10, 11, 12, 13, 14, 15, 16
if OPERATIONS != (END, RETURN, CALL, JUMP, OPTION, UNION, ARRAY, NEXT,
                  NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, FIXED, ENUM):  # fmt: skip
    raise ImportError("the operations of avro_schema and avro_kernel differ")

DEPTH = 64  # arrays, maps and recursive records one inside the other
EMPTY_ITEMS = 65_536  # items that take no bytes at all, per datum
STEPS, STEPS_PER_BYTE = 1_000_000, 16  # instructions a datum may take: records without bytes can nest a bomb


def compiled(function):
    """Compile on the first call, and keep the result on disk where there is a place for it."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return njit(nogil=True, error_model="numpy")(function)


@compiled
def _long(buffer, at, end):
    """A zigzag varint at `at`: (value, position after it); position −1: the data end, −2: longer than 64
    bits.
    """
    bits = np.uint64(0)
    shift = np.uint64(0)
    while True:
        if at >= end:
            return np.int64(0), np.int64(-1)
        byte = np.uint64(buffer[at])
        at += 1
        if shift == 63 and byte > 1:
            return np.int64(0), np.int64(-2)
        bits |= (byte & np.uint64(0x7F)) << shift
        if byte < 128:
            break
        shift += np.uint64(7)
    return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), at


@compiled
def _count(buffer, at, end, least):
    """(item count at the head of an array block, position, error); an item needs `least` bytes or more."""
    count, position = _long(buffer, at, end)
    if position < 0:
        return np.int64(0), at, -position
    if count < 0:  # negative: the block's size in bytes follows, which is not needed
        size, position = _long(buffer, position, end)
        if position < 0:
            return np.int64(0), at, -position
        if count < -(np.int64(1) << 62) or size < 0 or size > end - position:
            return np.int64(0), at, np.int64(5)
        count = -count
    if count > (EMPTY_ITEMS if least == 0 else (end - position) // least):
        return np.int64(0), at, np.int64(5)
    return count, position, np.int64(0)


@compiled
def walk(
    buffer, starts, ends, chained, code, jumps, widths, cells, rows, values, kinds, parents,
    counts, errors, offsets, store,
):  # fmt: skip
    """Run the program over datum after datum.

    `buffer` uint8; datum i is buffer[starts[i]:ends[i]], or, when `chained`, starts where the one before it
    ended (then starts and ends are filled in and the first error stops the walk). `code` (m, 6), `jumps`
    (k,): see avro_schema.Program. Table t has widths[t] columns; its cells begin at values[cells[t]], its
    rows at parents[rows[t]]; counts[t] is how many rows it has. Row i of table 0 is datum i. Without `store`
    rows are only counted. errors[i] != 0 on entry skips datum i; on return it says what was wrong with it, at
    offsets[i].
    """
    # Per level: next instruction or head of the loop, items left, saved cell, table, bytes an item needs.
    stack = np.empty((DEPTH, 5), np.int64)
    before = np.empty_like(counts)
    for i in range(ends.size):
        if errors[i] != 0:
            continue
        at = starts[i]
        end = ends[i]
        pc = np.int64(0)
        depth = 0
        empty = np.int64(0)
        error = np.int64(0)
        steps = (end - at) * STEPS_PER_BYTE + STEPS
        before[:] = counts
        cell = cells[0] + i * widths[0]
        while True:
            steps -= 1
            if steps < 0:
                error = 11
                break
            op = code[pc, 0]
            column = code[pc, 4]
            if op >= NULL:
                null = code[pc, 1]
                if null >= 0:
                    branch, position = _long(buffer, at, end)
                    if position < 0:
                        error = -position
                        break
                    if branch < 0 or branch > 1:
                        error = 3
                        break
                    at = position
                    if branch == null:
                        pc += 1
                        continue
                value = np.int64(0)
                if op == FLOAT:
                    if end - at < 4:
                        error = 1
                        break
                    word = np.uint64(0)
                    for j in range(4):
                        word |= np.uint64(buffer[at + j]) << np.uint64(8 * j)
                    value = np.int64(word)
                    at += 4
                elif op == DOUBLE:
                    if end - at < 8:
                        error = 1
                        break
                    word = np.uint64(0)
                    for j in range(8):
                        word |= np.uint64(buffer[at + j]) << np.uint64(8 * j)
                    value = np.int64(word)
                    at += 8
                elif op == INT or op == LONG or op == ENUM:
                    value, position = _long(buffer, at, end)
                    if position < 0:
                        error = -position
                        break
                    if op == INT and (value > 2147483647 or value < -2147483648):
                        error = 10
                        break
                    if op == ENUM:
                        if value < 0 or value >= code[pc, 2]:
                            error = 8
                            break
                        value += code[pc, 3]
                    at = position
                elif op == BYTES:
                    size, position = _long(buffer, at, end)
                    if position < 0:
                        error = -position
                        break
                    if size < 0 or size > end - position:
                        error = 4
                        break
                    value = (position << 27) | size
                    at = position + size
                elif op == BOOLEAN:
                    if at >= end:
                        error = 1
                        break
                    value = np.int64(buffer[at])
                    if value > 1:
                        error = 7
                        break
                    at += 1
                elif op == FIXED:
                    size = code[pc, 2]
                    if size > end - at:
                        error = 1
                        break
                    value = (at << 27) | size
                    at += size
                if store and column >= 0 and op != NULL:
                    values[cell + column] = value
                    kinds[cell + column] = code[pc, 5]
                pc += 1
            elif op == OPTION:
                branch, position = _long(buffer, at, end)
                if position < 0:
                    error = -position
                    break
                if branch < 0 or branch > 1:
                    error = 3
                    break
                at = position
                pc = code[pc, 2] if branch == code[pc, 1] else pc + 1
            elif op == UNION:
                branch, position = _long(buffer, at, end)
                if position < 0:
                    error = -position
                    break
                if branch < 0 or branch >= code[pc, 3]:
                    error = 3
                    break
                at = position
                pc = jumps[code[pc, 2] + branch]
            elif op == JUMP:
                pc = code[pc, 2]
            elif op == CALL or op == RETURN:
                if op == CALL:
                    if depth >= DEPTH:
                        error = 6
                        break
                    stack[depth, 0] = pc + 1
                    depth += 1
                    pc = code[pc, 2]
                else:
                    depth -= 1
                    pc = stack[depth, 0]
            elif op == ARRAY or op == NEXT:
                fresh = False
                if op == ARRAY:
                    if depth >= DEPTH:
                        error = 6
                        break
                    stack[depth, 0] = pc
                    stack[depth, 1] = 0
                    stack[depth, 2] = cell
                    stack[depth, 3] = code[pc, 5]
                    stack[depth, 4] = code[pc, 3]
                    depth += 1
                    fresh = True
                top = depth - 1
                if not fresh:
                    stack[top, 1] -= 1
                if stack[top, 1] == 0:
                    least = stack[top, 4]
                    count, position, error = _count(buffer, at, end, least)
                    if error != 0:
                        break
                    at = position
                    if least == 0:
                        empty += count
                        if empty > EMPTY_ITEMS:
                            error = 5
                            break
                    stack[top, 1] = count
                    if count == 0:
                        cell = stack[top, 2]
                        pc = code[stack[top, 0], 2]
                        depth -= 1
                        continue
                table = stack[top, 3]
                if table > 0:
                    row = counts[table]
                    counts[table] = row + 1
                    if store:
                        cell = cells[table] + row * widths[table]
                        parents[rows[table] + row] = i
                pc = stack[top, 0] + 1
            else:  # END
                if not chained and at != end:
                    error = 9
                break
        if chained:
            ends[i] = at
            starts[i + 1] = at
        if error != 0:
            errors[i] = error
            offsets[i] = at
            counts[:] = before
            if store:
                for j in range(widths[0]):
                    kinds[cells[0] + i * widths[0] + j] = 0
            if chained:
                break


@compiled
def gather(buffer, offsets, lengths, ends, out):
    """Copy buffer[offsets[i] : offsets[i] + lengths[i]] to out[ends[i]:ends[i + 1]]; lengths below 0 copy
    nothing.
    """
    for i in range(offsets.size):
        for j in range(lengths[i]):
            out[ends[i] + j] = buffer[offsets[i] + j]
