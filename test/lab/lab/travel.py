"""Hours that pass for frontdoor alone: its clocks are ahead of everybody else's by as much as a file says."""
import os
import struct
import subprocess

from . import paths

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "travel.c")


class Travel:
    """environment() for the daemon; ahead(seconds) at any time, forward only."""

    def __init__(self, directory):
        self.file = os.path.join(directory, "ahead")
        self.library = os.path.join(directory, "travel.so")
        self.seconds = 0
        self._write()
        subprocess.run([os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o",
                        self.library, SOURCE, "-ldl"], check=True)

    def environment(self):
        return dict(os.environ, LD_PRELOAD=self.library, TRAVEL_FILE=self.file)

    def ahead(self, seconds):
        self.seconds += seconds
        self._write()

    def _write(self):
        # In place: the daemon has it mapped.
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(fd, struct.pack("=q", int(self.seconds)), 0)
        os.close(fd)
