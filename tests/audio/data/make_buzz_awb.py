"""Makes `buzz.awb`, which PyAV cannot: no wheel of it has an encoder of AMR-WB.

apt-get install libvo-amrwbenc0
python -m tests.audio.data.make_buzz_awb
"""

import ctypes
from pathlib import Path
from typing import Final

import numpy as np

from tests.sounds import buzz

RATE: Final = 16_000
FRAME: Final = 320
MODE: Final = 2  # 12.65 kbit/s, as telephones use it


def main() -> None:
    library = ctypes.CDLL("libvo-amrwbenc.so.0")
    library.E_IF_init.restype = ctypes.c_void_p
    state = ctypes.c_void_p(library.E_IF_init())
    samples = np.round(buzz(1, RATE)[:, 0] * 2**15).astype("<i2")
    packet = ctypes.create_string_buffer(64)
    data = b"#!AMR-WB\n"
    for start in range(0, RATE, FRAME):
        frame = samples[start : start + FRAME].tobytes()
        n_bytes = library.E_IF_encode(state, MODE, frame, packet, 0)
        data += packet.raw[:n_bytes]
    library.E_IF_exit(state)
    Path(__file__).with_name("buzz.awb").write_bytes(data)


if __name__ == "__main__":
    main()
