"""An application of hypercorn's, which accepts an upgrade to h2c by default: it tells the names that it is told."""


async def app(scope, receive, send):
    names = [value.decode("latin-1") for name, value in scope.get("headers", []) if name == b"x-client-device"]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": f"device={names}\n".encode()})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"device={names}\n"})
        # Until the client goes.
        await receive()
