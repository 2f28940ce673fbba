"""Starts programs with little overhead of its own, takes times and does the statistics."""

import os
import statistics
import time


class Failed(Exception):
    """A measured command did not do what it should."""


def now():
    """The one clock that a guest's init shares with us, whatever time namespace it is in."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


class Runner:
    """Runs programs by posix_spawn, which in glibc shares the address space until exec and so costs the same for a big parent."""

    def __init__(self, folder, environment):
        self.environment = environment
        self.errors = os.path.join(folder, "stderr")
        self.output = os.path.join(folder, "stdout")

    def start(self, argv):
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, self.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ]
        return os.posix_spawn(argv[0], argv, self.environment, file_actions=actions)

    def run(self, argv):
        """Returns the times before the start and after the end in ns. Nothing is subtracted."""
        begin = now()
        pid = self.start(argv)
        _, status = os.waitpid(pid, 0)
        end = now()
        if status != 0:
            with open(self.errors, encoding="utf-8", errors="replace") as file:
                raise Failed(f"{' '.join(argv)}: exit {os.waitstatus_to_exitcode(status)}: {file.read().strip()}")
        return begin, end

    def text(self, argv):
        self.run(argv)
        with open(self.output, encoding="utf-8", errors="replace") as file:
            return file.read()


def wait_until(test, seconds, what):
    """Polls without sleeping for a while: a sleep would be part of what is measured."""
    begin = now()
    while not test():
        if now() - begin > seconds * 1_000_000_000:
            raise Failed(f"{what}: not within {seconds} s")
        if now() - begin > 200_000_000:
            time.sleep(0.001)


class Samples:
    """Samples of one row, one list a side, in the row's unit."""

    def __init__(self):
        self.sides = {}

    def add(self, side, value):
        self.sides.setdefault(side, []).append(value)

    def figures(self, side):
        values = sorted(self.sides[side])
        if len(values) == 1:
            return {"n": 1, "median": values[0], "p10": values[0], "p90": values[0], "min": values[0]}
        tenths = statistics.quantiles(values, n=10, method="inclusive")
        return {"n": len(values), "median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1], "min": values[0]}
