"""Many times the load that can be served, from a client that takes hardly any of the machine: wrk.

The load's own client would need most of the processors for that, and what is measured would be how
little they leave to the service.
"""

import asyncio
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.clips import multipart

CONNECTIONS: Final = 300

_SCRIPT: Final = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
wrk.headers["Authorization"] = "{authorization}"
wrk.body = file:read("*all")
file:close()
delay = function() return {milliseconds} end
"""


async def burst(
    url: str, clip: bytes, authorization: str, per_second: float, seconds: float
) -> float | None:
    """Post a clip over and over, and return how often a second; None where there is no wrk.

    Args:
        url: where to.
        clip: a file's bytes.
        authorization: the header's value.
        per_second: how often, if every answer came at once.
        seconds: how long.
    """
    if shutil.which("wrk") is None:
        return None
    content_type, body = multipart(clip)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(
            _SCRIPT.format(
                body=f"{folder}/body",
                content_type=content_type,
                authorization=authorization,
                milliseconds=max(1, round(1000 * CONNECTIONS / per_second)),
            )
        )
        command = [
            *("wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--timeout", "60s"),
            *("--duration", f"{max(1, round(seconds))}s", "--script", str(script), url),
        ]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output.decode())
    return float(found[1]) if found else None
