"""A point at which a test stops a fake."""

import anyio


class Gate:
    """Stops whoever passes until the test opens it."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.opened = anyio.Event()

    async def passed(self) -> None:
        """Say that somebody is here, and wait."""
        self.reached.set()
        await self.opened.wait()
