"""Deadlines and gates: nothing here waits for ever, and nothing waits a fixed time for something that tells."""
import os
import threading
import time

# Sanitized builds are slower; SELVEDGE_PATIENCE stretches every deadline.
PATIENCE = float(os.environ.get("SELVEDGE_PATIENCE", "1"))


class Deadline:
    """A moment that all the steps of one wait share."""

    def __init__(self, seconds):
        self.seconds = seconds * PATIENCE
        self.end = time.monotonic() + self.seconds

    def left(self):
        """Seconds until then; TimeoutError when there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing for {self.seconds:g} s")
        return left


class Gate:
    """Something one thread waits for and a test opens. Closing an origin opens all of its gates."""

    def __init__(self, name="gate"):
        self.name = name
        self.event = threading.Event()

    def open(self):
        self.event.set()

    def is_open(self):
        return self.event.is_set()

    def wait(self, seconds=30):
        if not self.event.wait(seconds * PATIENCE):
            raise TimeoutError(f"{self.name} was not opened within {seconds} s")


def until(question, what, seconds=10, interval=0.005):
    """Asks until the answer is true and returns it. Only for what can't tell by itself, such as a counter."""
    deadline = Deadline(seconds)
    while True:
        answer = question()
        if answer:
            return answer
        try:
            deadline.left()
        except TimeoutError:
            raise AssertionError(f"{what} within {deadline.seconds:g} s") from None
        time.sleep(interval)


def together(count, action, seconds=60):
    """Runs action(0) ... action(count - 1) at once, a thread each. Their results in order; the first exception, if any."""
    results, errors = [None] * count, []
    start = threading.Barrier(count)

    def run(index):
        try:
            start.wait(seconds * PATIENCE)
            results[index] = action(index)
        except BaseException as error:  # handed to the test's thread below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    deadline = Deadline(seconds)
    for thread in threads:
        thread.join(max(0.001, deadline.end - time.monotonic()))
        if thread.is_alive():
            raise TimeoutError(f"{count} at once did not end within {deadline.seconds:g} s; errors so far: {errors}")
    if errors:
        raise errors[0]
    return results


class Background:
    """One action on a thread of its own; result() waits for it and hands over what it returned or raised."""

    def __init__(self, action, *arguments):
        self.value, self.error = None, None
        self.thread = threading.Thread(target=self._run, args=(action, arguments), daemon=True)
        self.thread.start()

    def _run(self, action, arguments):
        try:
            self.value = action(*arguments)
        except BaseException as error:  # handed over by result()
            self.error = error

    def result(self, seconds=30):
        self.thread.join(seconds * PATIENCE)
        if self.thread.is_alive():
            raise TimeoutError(f"not done within {seconds} s")
        if self.error:
            raise self.error
        return self.value
