"""Peers on the way to a server: one answers with an error, one keeps answers back."""

import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path


class Peer:
    """Listens on a Unix socket of its own, with one thread for each connection."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="dtps-peer-", dir="/tmp"))
        self.url = f"unix://{self.directory}/s"
        self.threads, self.sockets = [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.directory}/s")
        self.listener.listen()
        self.listener.settimeout(0.05)
        self.is_open = True
        self._spawn(self._accept)

    def _spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while self.is_open:
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            client.setblocking(True)
            self.sockets.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client):
        with client, suppress(OSError):
            self.serve(client)

    def close(self):
        self.is_open = False
        self.threads[0].join()
        self.listener.close()
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self.threads[1:]:
            thread.join()
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Refusing(Peer):
    """Says OK to the handshake, and one error to all else."""

    def __init__(self, error):
        self.error = error
        super().__init__()

    def serve(self, client):
        while data := client.recv(65536):
            for word in data.split(b"*")[1:]:
                ok = b"CLIENT" in word or b"SELECT" in word
                client.sendall(b"+OK\r\n" if ok else b"-%s\r\n" % self.error.encode())


class Swallowing(Peer):
    """Hands everything on to a server; answers only while ``answers`` is true.

    Without it an answer is waited for, so that the command took effect, and dropped; then the
    client is cut off, or left to wait.
    """

    def __init__(self, server, *, cuts=True):
        self.server, self.cuts = server, cuts
        self.answers = True
        super().__init__()

    def serve(self, client):
        with socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(str(self.server.socket))
            self._spawn(self._answer, upstream, client)
            try:
                while data := client.recv(65536):
                    upstream.sendall(data)
            finally:
                upstream.shutdown(socket.SHUT_RDWR)  # wakes the other thread

    def _answer(self, upstream, client):
        with suppress(OSError):
            while answer := upstream.recv(65536):
                if self.answers:
                    client.sendall(answer)
                elif self.cuts:
                    client.shutdown(socket.SHUT_RDWR)
