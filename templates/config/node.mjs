// An https server for {% for host in hosts %}{{ host.host }}{% if not loop.last %}, {% endif %}{% endfor %} that lets in devices only, and tells each request which one it comes from.
//
//     node server.mjs                                       tries it: it greets each device by its name
//     import { deviceServer } from "./server.mjs";          in an application:
//     deviceServer((request, response) => …request.device.address…).listen({{ port }});
//     new WebSocketServer({ server: deviceServer(…) });     with WebSockets, here by the package ws: `request.device` is there, too
//
// It reads every publication as it comes, also where a directory is replaced as a whole. One that cannot be read is told on stderr,
// and what was read before stays in force. Node.js 18 or later; no other package.

import { constants, createHash } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
{% if networks %}
import net from "node:net";
{% endif %}
import tls from "node:tls";
import { fileURLToPath } from "node:url";

const PORT = {{ port }};
const HOSTS = [   // the certificate with the CA's below it
{% for host in hosts %}
  { name: "{{ host.host }}", certificate: {{ host.certificate }}, key: {{ host.key }} },
{% endfor %}
];
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

// As OpenSSL has it since 1.1.0h; not every Node.js has a name for it.
const NO_RENEGOTIATION = constants.SSL_OP_NO_RENEGOTIATION ?? 2 ** 30;

function identity(host) {
  const read = (name) => fs.readFileSync(`${PUBLIC}/${name}`);
  return {
    key: fs.readFileSync(host.key),
    cert: fs.readFileSync(host.certificate),
    // Forward secrecy and authenticated encryption only.
    minVersion: "TLSv1.2",
    ciphers: [
      "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
      "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
      "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
    ].join(":"),
    ca: [read("ca/root.crt"), read("ca/issuing.crt")],
    // An array, one CRL each: of a file with two, Node.js would read the first alone. With one missing nobody gets in.
    crl: [read("crl/root.pem"), read("crl/issuing.pem")],
    // A resumed session would skip the CRL: each connection is a full handshake, and has no second one (of TLS 1.2).
    secureOptions: constants.SSL_OP_NO_TICKET | NO_RENEGOTIATION,
  };
}

{% include "part/accepted-devices.mjs" %}

// By these names a proxy says who somebody is, and where from.
const claims = new Set([
  "x-client-device", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
{% for name in removed_headers %}
  "{{ name | lower }}",
{% endfor %}
]);
// Applications take X_Client_Device and X.Client.Device for X-Client-Device: only letters, digits and hyphens pass.
const isClaim = (name) => !/^[a-z0-9-]+$/i.test(name) || claims.has(name.toLowerCase());

// One host and no other: of what has an @ in it, or two ports, each program reads another. Of several headers Node.js shows the first.
function namesOneHost({ rawHeaders }) {
  const hosts = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1].toLowerCase() === "host");
  return hosts.length <= 1 && hosts.every((host) => /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]*)?$/i.test(host));
}

{% include "part/tell-device.mjs" %}

// Closes the connection: `answer` is a response, or, of an Upgrade, the connection itself.
function refuse(answer, status, why) {
  const head = { Connection: "close", "Content-Type": "text/plain" };
  if (answer instanceof http.ServerResponse) {
    answer.writeHead(status, head).end(`${why}\n`);
    return;
  }
  const lines = [`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`, ...Object.entries(head).map((line) => line.join(": ")), "", ""];
  answer.on("error", () => {}).end(`${lines.join("\r\n")}${why}\n`, () => answer.destroy());
}

/** A server whose handler finds `request.device`: `address` ("alice/phone"), `serial`, `not_after`, `status` and the hashes. */
export function deviceServer(handler) {
  const accepted = devicesBy("serial");
  let contexts;
  function read() {
    accepted.read();
    contexts = new Map(HOSTS.map((host) => [host.name, tls.createSecureContext(identity(host))]));
  }
  read();
  const server = https.createServer({
    ...identity(HOSTS[0]),   // also for whoever names no host in the handshake, or another
    requestCert: true,
    rejectUnauthorized: true,
    SNICallback: (name, done) => done(null, contexts.get(name.toLowerCase()) ?? null),
  }, handler);

  // Whoever gets a request gets it by an event: request, upgrade (WebSockets), connect, checkContinue, checkExpectation. All of them come
  // by here first. It is asked for each: a connection that is kept alive has passed the CRL long ago.
  const { emit } = server;
  server.emit = (event, request, answer, ...more) => {
    if (request instanceof http.IncomingMessage) {
      const device = accepted.get(request.socket.getPeerCertificate()?.serialNumber);
      if (!device) return refuse(answer, 403, "this device is locked out");
      if (!namesOneHost(request)) return refuse(answer, 400, "this is no host");
{% if hosts | length > 1 %}
      const asked = (request.headers.host ?? "").toLowerCase().replace(/:[0-9]*$/, "");
      const served = HOSTS.some(({ name }) => asked === name || asked === `[${name}]`);
      if (!served) return refuse(answer, 421, "this host is not served here");
{% endif %}
      // What makes a pipe of a connection, a WebSocket apart: whoever has one may be heard as somebody else.
      const upgrade = request.headers.upgrade ?? "websocket";
      if (event === "connect" || upgrade.toLowerCase() !== "websocket") return refuse(answer, 400, "only WebSockets are let through");
      tellDevice(request, device);
    }
    return emit.call(server, event, request, answer, ...more);
  };
  server.on("connection", (socket) => {
    if (!fromAllowedNetwork(socket)) socket.destroy();
  });
  server.on("tlsClientError", (error, socket) => {
    console.error(`turned away: ${socket.authorizationError ?? error.code ?? error.message}`);
  });

  const publication = followPublication([PUBLIC, SERVER], () => {
    read();
    server.setSecureContext(identity(HOSTS[0]));
  });
  process.on("SIGHUP", publication.again);
  server.on("close", () => {
    publication.end();
    process.off("SIGHUP", publication.again);
  });
  return server;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  deviceServer((request, response) => response.end(`hello ${request.device.address}\n`))
    .listen(PORT, () => console.log(`listening on port ${PORT}`));
}
