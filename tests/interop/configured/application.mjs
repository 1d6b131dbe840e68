import { deviceServer } from "./server.mjs";

const folded = (name) => `HTTP_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
const pairs = (list) => list.flatMap((name, at) => at % 2 ? [] : [[name, list[at + 1]]]);

// What any view of the headers says, each thing once.
function told(request) {
  const views = [request.headers, request.headersDistinct, request.trailers, request.trailersDistinct].map(Object.entries)
    .concat([pairs(request.rawHeaders), pairs(request.rawTrailers)]);
  const devices = views.map((view) => view.filter(([name]) => folded(name) === "HTTP_X_CLIENT_DEVICE").map(([, value]) => String(value)));
  const lines = views.flat().map(([name, value]) => `${folded(name)}=${String(value).slice(0, 100)}`);
  const heads = [0, 1, 4].every((view) => devices[view].join() === request.device?.address);
  return `device=[${heads ? request.device.address : devices.flat()}]\n${[...new Set(lines)].join("\n")}\n`;
}

// It reads on from what has become a pipe, and believes it.
function switchTo(socket, head) {
  socket.write(head);
  socket.on("error", () => {});
  socket.on("data", (data) => socket.end(`HTTP/1.1 200 OK\r\n\r\nin the pipe:\n${data}`));
}

const server = deviceServer((request, response) => {
  request.resume().on("end", () => response.end(told(request)));
});
server.on("upgrade", (request, socket) => {
  const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`;
  switchTo(socket, head + told(request));
});
server.on("connect", (request, socket) => switchTo(socket, "HTTP/1.1 200 OK\r\n\r\n"));
server.on("checkContinue", (request, response) => {
  response.writeContinue();
  server.emit("request", request, response);
});
server.listen(Number(process.argv[2]), "127.0.0.1");
