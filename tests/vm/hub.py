"""The wire between linked machines: every frame that one sends reaches the others. No port, no address, nothing beyond this process."""

import asyncio
import os
import threading

FULL = 4 << 20  # bytes that may wait for a slow machine; then frames are lost, as on any wire


class Hub:
    """Listens on a socket that QEMU's stream network backends connect to."""

    def __init__(self, path):
        self.path = path
        self.ports = set()
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(asyncio.start_unix_server(self.serve, path))
        os.chmod(path, 0o600)
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def serve(self, reader, writer):
        """A frame comes behind its length, four bytes in network order."""
        self.ports.add(writer)
        try:
            while True:
                head = await reader.readexactly(4)
                frame = head + await reader.readexactly(int.from_bytes(head, "big"))
                for port in self.ports:
                    if port is not writer and port.transport.get_write_buffer_size() < FULL:
                        port.write(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ports.discard(writer)
            writer.close()
