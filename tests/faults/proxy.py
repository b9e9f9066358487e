"""A network that fails: a proxy between one process and a server, over loopback."""

import socket
import struct
import threading
from contextlib import suppress
from urllib.parse import urlsplit

BYTES = 65536
TICK_SECONDS = 0.05
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() tells the peer that nothing was said


class FaultProxy:
    """Hands bytes on between clients and a server, unless told otherwise.

    Cut off, it holds them back and delivers them once it is healed, as TCP does: what a client
    has given up long ago may still arrive.
    """

    def __init__(self, upstream):
        """``upstream`` is the path of a Unix socket."""
        self.upstream = upstream
        self.delay_seconds = 0.0
        self._is_open = True
        self._is_cut = False
        self._refuses = False
        self._drops = 0  # replies that are still to be swallowed
        self._word = b""  # which ones: those that hold it, or whose call did
        self.dropped = 0
        self._changed = threading.Condition()
        self._pairs = set()
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK_SECONDS)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def through(self, url):
        """The address of what answers at ``url``, through this proxy."""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"redis://127.0.0.1:{self.port}/0"
        return parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}").geturl()

    # --- faults ---

    def cut(self):
        """Deliver nothing more, in either direction, and say so to nobody."""
        with self._changed:
            self._is_cut = True

    def heal(self):
        """Deliver everything, also what was held back."""
        with self._changed:
            self._is_cut = self._refuses = False
            self.delay_seconds = 0.0
            self._drops, self._word = 0, b""
            self._changed.notify_all()

    def forget(self):
        """Let the connections of this moment be half open for good; new ones are whole."""
        with self._changed:
            for pair in self._pairs:
                pair.is_dead = True

    def reset(self):
        """Reset every connection, and each new one at once."""
        with self._changed:
            self._refuses = True
            for pair in self._pairs:
                pair.reset()

    def drop_replies(self, count=1, word=b""):
        """Swallow the replies to so many scripts, each of which took effect; reset those lines.

        With a word, only of those that have it in their call or in their reply.
        """
        with self._changed:
            self._drops += count
            self._word = word

    @property
    def drops_left(self):
        return self._drops

    def close(self):
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
            for pair in self._pairs:
                pair.close()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    # --- threads ---

    def _spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.setblocking(True)
            pair = Pair(client)
            if self._refuses or not pair.connect(self.upstream):
                pair.reset()
                continue
            with self._changed:
                self._pairs.add(pair)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._spawn(self._pump, pair, pair.client, pair.server, self._ask)
            self._spawn(self._pump, pair, pair.server, pair.client, self._answer)

    def _pump(self, pair, source, target, hand_on):
        with suppress(OSError):
            while data := source.recv(BYTES):
                self._hold_back(pair)
                hand_on(pair, target, data)
            self._hold_back(pair)  # the end of a stream comes no sooner than what was before it
        pair.close()
        with self._changed:
            self._pairs.discard(pair)

    def _hold_back(self, pair):
        with self._changed:
            self._changed.wait_for(
                lambda: not (self._is_cut or pair.is_dead) or not self._is_open or pair.is_over
            )
            if not self._is_open:
                raise OSError
            if self.delay_seconds:
                self._changed.wait_for(lambda: not self.delay_seconds, self.delay_seconds)

    def _ask(self, pair, target, data):
        if b"EVAL" in data:
            pair.asked = data
        target.sendall(data)

    def _answer(self, pair, target, data):
        with self._changed:
            swallowed = pair.asked and self._drops > 0 and self._word in pair.asked + data
            if swallowed:
                self._drops -= 1
                self.dropped += 1
        pair.asked = b""
        if swallowed:
            pair.reset()
        else:
            target.sendall(data)


class Pair:
    """One client's line, and the one to the server that goes with it."""

    def __init__(self, client):
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.asked = b""  # the call of a script whose answer is still to come
        self.is_dead = False  # half open
        self.is_over = False

    def connect(self, upstream):
        try:
            self.server.connect(str(upstream))
        except OSError:
            return False
        return True

    def reset(self):
        with suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self):
        self.is_over = True
        for line in (self.client, self.server):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
