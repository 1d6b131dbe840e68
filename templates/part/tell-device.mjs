// For handlers that look at headers. What the client claims goes from all that Node.js has of them. It makes the first two of the third
// when they are first read, and counts on its length: the third comes last. Trailers come after a body, and some take them for headers.
function tellDevice(request, device) {
  const { headers, headersDistinct = {}, rawHeaders } = request;
  for (const all of [headers, headersDistinct]) {
    for (const name of Object.keys(all)) {
      if (isClaim(name)) delete all[name];
    }
  }
  headers["x-client-device"] = device.address;
  headersDistinct["x-client-device"] = [device.address];
  request.rawHeaders = rawHeaders.filter((_, at) => !isClaim(rawHeaders[at - at % 2]));   // names and values in turn
  request.rawHeaders.push("X-Client-Device", device.address);
  for (const [name, nothing] of [["trailers", {}], ["trailersDistinct", {}], ["rawTrailers", []]]) {
    Object.defineProperty(request, name, { get: () => nothing, set() {}, configurable: true });
  }
  request.device = device;
}
