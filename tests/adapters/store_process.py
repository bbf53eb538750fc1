"""A store process for tests: owns a directory, prints its port, and goes when its input ends."""

import asyncio
import sys
from pathlib import Path

import structlog

from roadstead.adapters.chdb import ChdbEngine, serve

USER, PASSWORD = "roadstead", "tide & anchor"


async def main(path: Path, port: int) -> None:
    """Serve until the other side closes our input."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # our output is the port, nothing else
    engine = ChdbEngine(path / "store")
    async with serve(engine, host="127.0.0.1", port=port, user=USER, password=PASSWORD, scratch=path) as actual:
        print(actual, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
