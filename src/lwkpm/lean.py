"""`socket`, `signal`, `heapq`, `struct` and `deque` for the run path: the C modules that the library's modules wrap.

The wrappers import `enum`, `functools`, `selectors` and `collections`, 7 ms together, which is half of what a run may
spend on imports, for enumerations and file objects that an agent does not use. The C objects are the same ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import heapq
    import signal
    import socket
    import struct
    from collections import deque
else:
    import _heapq as heapq
    import _signal as signal
    import _socket as socket
    import _struct as struct
    from _collections import deque

__all__ = ["deque", "heapq", "signal", "socket", "struct"]
