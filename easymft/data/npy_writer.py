"""Writes a .npy file whose length is not known beforehand."""

import os
from types import TracebackType

import numpy as np


class NpyWriter:
    """A one-dimensional array file that grows; use it as a context manager, which completes the header at the end."""

    def __init__(self, path: str | os.PathLike[str], dtype: np.typing.DTypeLike):
        """Opens `path` for writing.

        Raises:
            OSError: It cannot be written.
        """
        self._dtype = np.dtype(dtype)
        self._length = 0
        self._stream = open(path, "wb")  # noqa: SIM115 (closed in __exit__)
        self._write_header()
        self._data_start = self._stream.tell()

    def append(self, values: np.ndarray) -> None:
        """Appends [k] values, converted to the file's type."""
        self._stream.write(np.ascontiguousarray(values, self._dtype).tobytes())
        self._length += len(values)

    def _write_header(self) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._stream, header)

    def __enter__(self) -> "NpyWriter":
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes the true length into the header and closes the file."""
        with self._stream:
            # numpy leaves room in the header for a first dimension of 21 digits, so the header keeps its size.
            self._stream.seek(0)
            self._write_header()
            if self._stream.tell() != self._data_start:
                raise RuntimeError(f"The .npy header grew from {self._data_start} to {self._stream.tell()} bytes")
