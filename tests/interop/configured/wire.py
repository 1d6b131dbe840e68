"""Says to a server what no well-behaved client says: octets as they are given, or HTTP/2 with any names and values.

Arguments: port, certificate chain, key, how many attempts may be under way at once. On stdin a JSON list of attempts, each on a connection of its own; on stdout the answers.
"""

import json
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor

PORT, CHAIN, KEY, AT_ONCE = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
# Whoever has not answered by then does not, and whoever has answered and is silent for so long has said all.
PATIENCE, SILENCE = 25, 5


def connect(protocol, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    context.load_cert_chain(CHAIN, KEY)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", PORT), PATIENCE), server_hostname=name)


def raw(attempt):
    """Sends one text after the other, each once something has come back for the one before, and reads to the end, or `once`."""
    connection = connect("http/1.1", attempt["name"])
    beside = connect("http/1.1", attempt["name"]) if "beside" in attempt else None
    said = {"certificate": ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))}
    began, answer = time.monotonic(), b""

    def say(text):
        # Whoever refuses to read on has answered.
        try:
            connection.sendall(text.encode("latin-1"))
        except OSError:
            pass

    try:
        for text in attempt["raw"]:
            say(text)
            if beside:
                beside.sendall(attempt["beside"].encode("latin-1"))
                said["beside"] = beside.recv(65536).decode("latin-1")
                said["beside_took"] = time.monotonic() - began
            part = connection.recv(65536)
            said.setdefault("took", time.monotonic() - began)
            answer += part
            connection.settimeout(SILENCE)
        while part and not attempt.get("once"):
            part = connection.recv(65536)
            answer += part
    except OSError as error:
        answer += f"<{error}>".encode()
    said.setdefault("took", time.monotonic() - began)
    return said | {"answer": answer.decode("latin-1")}


def http2(attempt, connection=None, state=None, stream=1, rest=b""):
    """One request over HTTP/2. With `pipe`, its octets follow once the answer has begun."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
    from h2.exceptions import ProtocolError

    loose = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1")
    connection = connection or connect("h2", attempt["name"])
    if state is None:
        state = H2Connection(loose)
        state.initiate_connection()
    answer = ""
    try:
        pipe, trailers = attempt.get("pipe"), attempt.get("trailers")
        state.send_headers(stream, [tuple(pair) for pair in attempt["headers"]], end_stream=not (pipe or trailers))
        if trailers:
            state.send_data(stream, b"x")
            state.send_headers(stream, [tuple(pair) for pair in trailers], end_stream=True)
        while True:
            for event in state.receive_data(rest) if rest else []:
                if isinstance(event, (ConnectionTerminated, StreamReset)):
                    return {"answer": f"{answer}<{event}>"}
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, ResponseReceived):
                    answer += f"HTTP/2 {dict(event.headers)[':status']}\n"
                    connection.settimeout(SILENCE)
                    if pipe:
                        state.send_data(stream, pipe.encode("latin-1"))
                        pipe = None
                elif isinstance(event, DataReceived):
                    answer += event.data.decode("latin-1")
                    if attempt.get("once"):
                        return {"answer": answer}
                elif isinstance(event, StreamEnded):
                    return {"answer": answer}
            octets = state.data_to_send()
            # How long it takes here to put a request into octets is not the server's affair.
            attempt.setdefault("began", time.monotonic())
            connection.sendall(octets)
            rest = connection.recv(65536)
            if not rest:
                return {"answer": f"{answer}<closed>"}
    except (OSError, ProtocolError) as error:
        return {"answer": f"{answer}<{error}>"}


def h2c(attempt):
    """Asks for an upgrade to HTTP/2, as RFC 7540 §3.2 has it, and asks again inside."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    connection = connect("http/1.1", attempt["name"])
    connection.sendall(attempt["h2c"].encode("latin-1"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(65536)
        if not part:
            break
        answer += part
    if not answer.startswith(b"HTTP/1.1 101 "):
        return {"answer": answer.decode("latin-1")}
    state = H2Connection(H2Configuration(header_encoding="latin-1"))
    state.initiate_upgrade_connection()
    return http2(attempt, connection, state, 3, answer.split(b"\r\n\r\n", 1)[1])


def attempt_one(attempt):
    began = time.monotonic()
    try:
        said = raw(attempt) if "raw" in attempt else h2c(attempt) if "h2c" in attempt else http2(attempt)
    except OSError as error:
        said = {"answer": f"<{error}>"}
    return {"took": time.monotonic() - attempt.get("began", began)} | said


with ThreadPoolExecutor(AT_ONCE) as attempts:
    print(json.dumps(list(attempts.map(attempt_one, json.load(sys.stdin)))))
