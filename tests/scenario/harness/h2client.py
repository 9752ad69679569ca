"""An HTTP/2 client on python3-h2: several streams at once, windows and resets under the test's control.

One thread at a time. Whoever waits for one stream takes in what comes for all of them."""
import socket
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from .h1 import connect, tls_context
from .message import Answer, BodyCutShort
from .waiting import Deadline


class Connection(h2.connection.H2Connection):
    """python3-h2 takes nothing more in after a GOAWAY; the streams that a node still finishes are what we want to see."""

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id, event.additional_data = frame.error_code, frame.last_stream_id, None
        return [], [event]


class Stream:
    """One request and its answer."""

    def __init__(self, client, number):
        self.client, self.number = client, number
        self.answer = Answer(0, [])
        self.has_head = self.ended = False
        self.interim = []  # statuses before the answer's
        self.reset_code = None
        self.paused = False  # True: the window is not given back, so the node may send only what it still has
        self.owed = 0

    def head(self):
        self.client.wait(lambda: self.has_head or self.reset_code is not None)
        if not self.has_head:
            raise BodyCutShort("RST_STREAM", self.answer, self.reset_code)
        return self.answer

    def at_least(self, length):
        """Waits until this much of the body is here."""
        self.client.wait(lambda: len(self.answer.body) >= length or self.ended or self.reset_code is not None)
        if len(self.answer.body) < length:
            raise BodyCutShort("RST_STREAM", self.answer, self.reset_code)
        return self.answer

    def rest(self):
        """Waits for the answer's end; BodyCutShort when the stream was reset."""
        self.client.wait(lambda: self.ended or self.reset_code is not None)
        if self.reset_code is not None:
            raise BodyCutShort("RST_STREAM", self.answer, self.reset_code)
        return self.answer

    def cancel(self):
        self.client.h2.reset_stream(self.number, error_code=8)
        self.client.flush()

    def resume(self):
        """Gives the window back."""
        self.paused = False
        self.client.give_back(self, 0)


class H2:
    protocol = "h2"

    def __init__(self, address, tls=True, version=None, seconds=20, window=1 << 20,
                 settle=lambda answer: answer, line=b""):
        """line: sent before all else, TLS included."""
        self.seconds, self.tls, self.settle = seconds, tls, settle
        self.socket = connect(address)
        self.socket.sendall(line)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls_context("h2", version=version).wrap_socket(self.socket, server_hostname="localhost")
            assert self.socket.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.h2 = Connection(config)
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.ENABLE_PUSH: 0,
                                         h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window((1 << 30) - 65535)
        self.streams, self.goaway, self.closed, self.pongs = {}, None, False, 0
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def abort(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # ---- sending

    def flush(self):
        self.send(self.h2.data_to_send())

    def send(self, data):
        """These very bytes, frames or not."""
        self.socket.settimeout(Deadline(self.seconds).left())
        self.socket.sendall(data)

    def ask(self, target, fields=(), method="GET", body=None, host="localhost", end=True):
        """Opens a stream; its answer is read later. end=False: the body's end is not said yet; host=None: no :authority."""
        pairs = fields.items() if isinstance(fields, dict) else fields
        number = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https" if self.tls else "http"), (":path", target)]
        head += [(":authority", host)] if host is not None else []
        head += [(name.lower(), value) for name, value in pairs]
        if body is not None:
            head.append(("content-length", str(len(body))))
        stream = self.streams[number] = Stream(self, number)
        self.h2.send_headers(number, head, end_stream=body is None and end)
        self.flush()
        if body is not None:
            self.send_body(stream, body, end)
        return stream

    def send_body(self, stream, body, end=True):
        """Sends as the node's window allows; stops when the node has reset or answered the stream meanwhile."""
        number = stream.number

        def room():
            return min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
        if not body and end:
            self.h2.send_data(number, b"", end_stream=True)
            self.flush()
        while body:
            self.wait(lambda: stream.reset_code is not None or stream.ended or room() > 0)
            if stream.reset_code is not None or stream.ended:
                return
            size = room()
            self.h2.send_data(number, body[:size], end_stream=end and len(body) <= size)
            body = body[size:]
            self.flush()

    def request(self, target, fields=(), method="GET", body=None, host="localhost"):
        return self.ask(target, fields, method, body, host).rest()

    def get(self, target, fields=(), method="GET", **more):
        """request(), and whatever it stored is complete."""
        return self.settle(self.request(target, fields, method, **more))

    def ping(self):
        """Returns once the node has seen all that was sent before: frames are taken in order."""
        seen = self.pongs
        self.h2.ping(b"scenario")
        self.flush()
        self.wait(lambda: self.pongs > seen)

    # ---- receiving

    def wait(self, condition):
        """Takes in frames until the condition holds or the connection has ended (then BodyCutShort, or EOFError)."""
        deadline = Deadline(self.seconds)
        while not condition():
            if self.closed:
                raise EOFError(f"the connection ended (GOAWAY: {self.goaway})")
            self.socket.settimeout(deadline.left())
            try:
                data = self.socket.recv(1 << 18)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            self._take(data)

    def ended(self):
        """Waits for the node to end the connection; returns the GOAWAY's error code, None when there was none."""
        self.wait(lambda: self.closed)
        return self.goaway

    def _take(self, data):
        if not data:
            self.closed = True
            for stream in self.streams.values():
                if not stream.ended and stream.reset_code is None:
                    stream.reset_code = "connection closed"
            return
        for event in self.h2.receive_data(data):
            self._on(event)
        pending = self.h2.data_to_send()
        if pending:
            try:
                self.send(pending)
            except OSError:  # what the node sent before it closed is still to be read
                pass

    def _on(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            fields = [(name, value) for name, value in event.headers if not name.startswith(":")]
            stream.answer.status = int(dict(event.headers)[":status"])
            stream.answer.fields.extend(fields)
            stream.has_head = True
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.DataReceived):
            stream.answer.body += event.data
            self.give_back(stream, event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset_code = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)

    def give_back(self, stream, length):
        stream.owed += length
        if stream.paused or stream.owed == 0:
            return
        try:
            self.h2.acknowledge_received_data(stream.owed, stream.number)
        except h2.exceptions.ProtocolError:  # the connection is being closed
            pass
        stream.owed = 0
        self.flush_quietly()

    def flush_quietly(self):
        try:
            self.flush()
        except OSError:  # what the node sent before it closed is still to be read
            pass
