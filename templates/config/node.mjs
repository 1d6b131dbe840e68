// An https server for {{ host }} that lets in devices only, and tells each request which one it comes from.
//
//     node server.mjs                                       tries it: it greets each device by its name
//     import { deviceServer } from "./server.mjs";          in an application:
//     deviceServer((request, response) => …request.device.address…).listen({{ port }});
//
// It reads every publication as it comes, also where a directory is replaced as a whole. One that cannot be read is told on stderr,
// and what was read before stays in force. Node.js 18 or later; no other package.

import { constants } from "node:crypto";
import fs from "node:fs";
import https from "node:https";
{% if networks %}
import net from "node:net";
{% endif %}
import { fileURLToPath } from "node:url";

const PORT = {{ port }};
const CERTIFICATE = {{ certificate }}, KEY = {{ key }};   // the certificate with the CA's below it
const PUBLIC = {{ public }};   // the public half of the publication
const SERVER = {{ server }};   // the servers' half: this account must be able to read it ([[publish]] group = … in pki.toml)

{% if networks %}
// allowed_networks of pki.toml. Behind a load balancer the address is the balancer's: then check there.
const networks = new net.BlockList();
{% for network in networks %}
networks.addSubnet("{{ network.address }}", {{ network.prefix }}, "{{ network.family }}");
{% endfor %}
const fromAllowedNetwork = ({ remoteAddress: address = "" }) =>
  net.isIP(address) !== 0 && networks.check(address, net.isIPv6(address) ? "ipv6" : "ipv4");
{% else %}
// To let in some networks only, set allowed_networks in pki.toml.
const fromAllowedNetwork = () => true;
{% endif %}

function identity() {
  const read = (name) => fs.readFileSync(`${PUBLIC}/${name}`);
  return {
    key: fs.readFileSync(KEY),
    cert: fs.readFileSync(CERTIFICATE),
    // Forward secrecy and authenticated encryption only.
    minVersion: "TLSv1.2",
    ciphers: [
      "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
      "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
      "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
    ].join(":"),
    requestCert: true,
    rejectUnauthorized: true,
    ca: [read("ca/root.crt"), read("ca/issuing.crt")],
    // An array, one CRL each: of a file with two, Node.js would read the first alone. With one missing nobody gets in.
    crl: [read("crl/root.pem"), read("crl/issuing.pem")],
    // A resumed session would skip the CRL: each connection is a full handshake.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

// Every certificate that is accepted, by its serial number. What is not in it is locked out.
function acceptedDevices() {
  const { devices } = JSON.parse(fs.readFileSync(`${SERVER}/devices.json`, "utf8"));
  return new Map(devices.map((device) => [device.serial, device]));
}

const isDeviceHeader = (name) => /^x[-_]client[-_]device$/i.test(name);

/** A server whose handler finds `request.device`: `address` ("alice/phone"), `serial`, `not_after`, `status` and the hashes. */
export function deviceServer(handler) {
  let accepted = acceptedDevices();
  const server = https.createServer(identity(), (request, response) => {
    // Asked for each request: a connection that is kept alive has passed the CRL long ago.
    const device = accepted.get(request.socket.getPeerCertificate().serialNumber);
    if (!device) {
      response.writeHead(403, { Connection: "close", "Content-Type": "text/plain" });
      response.end("this device is locked out\n");
      return;
    }
    request.device = device;
    // For handlers that look at headers. What the client sent by that name goes, also with underscores, and from all that Node.js has
    // of them. It makes the first two of the third when they are first read, and counts on its length: the third comes last.
    const { headers, headersDistinct = {}, rawHeaders } = request;
    for (const all of [headers, headersDistinct]) {
      for (const name of Object.keys(all)) {
        if (isDeviceHeader(name)) delete all[name];
      }
    }
    headers["x-client-device"] = device.address;
    headersDistinct["x-client-device"] = [device.address];
    request.rawHeaders = rawHeaders.filter((_, at) => !isDeviceHeader(rawHeaders[at - at % 2]));   // names and values in turn
    request.rawHeaders.push("X-Client-Device", device.address);
    handler(request, response);
  });
  server.on("connection", (socket) => {
    if (!fromAllowedNetwork(socket)) socket.destroy();
  });
  // WebSockets pass no handler: whoever wants them must look the device up as above.
  server.on("tlsClientError", (error, socket) => {
    console.error(`turned away: ${socket.authorizationError ?? error.code ?? error.message}`);
  });

  function reload() {
    try {
      const [context, devices] = [identity(), acceptedDevices()];
      server.setSecureContext(context);
      accepted = devices;
      console.log("publication read");
    } catch (error) {
      console.error(`publication not read: ${error.message}`);
    }
  }
  // The manifest is the last file of each half that is written. It is looked up by its name twice a second, so that it is found
  // again where its directory was replaced by another, and where the file system reports no events (NFS, a container's mount).
  let soon;
  const watched = [PUBLIC, SERVER].map((directory) => `${directory}/manifest.json`);
  const changed = () => {
    clearTimeout(soon);
    soon = setTimeout(reload, 100);
  };
  for (const manifest of watched) fs.watchFile(manifest, { interval: 500 }, changed);
  process.on("SIGHUP", reload);
  server.on("close", () => {
    clearTimeout(soon);
    for (const manifest of watched) fs.unwatchFile(manifest, changed);
    process.off("SIGHUP", reload);
  });
  return server;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  deviceServer((request, response) => response.end(`hello ${request.device.address}\n`))
    .listen(PORT, () => console.log(`listening on port ${PORT}`));
}
