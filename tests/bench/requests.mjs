// How many signed requests Node.js verifies in a second, beside libraries that verify the signature alone, and what it adds to a request:
// node requests.mjs, in a directory with requests.mjs as `pki config` prints it, a device's certificate and its key.

import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { httpbis } from "http-message-signatures";
import { verifySignature } from "http-message-sig";
import { pathToFileURL } from "node:url";

const here = (name) => pathToFileURL(`${process.cwd()}/${name}`).href;
const { ownReplays, signedRequests } = await import(here("requests.mjs"));
const { fromPem, signatureHeaders } = await import(here("sign-requests.mjs"));

const ORIGIN = "https://api.acme.example";
const signed = signedRequests({ origins: [ORIGIN], replays: ownReplays(10_000_000) });
const reply = (request, response) => {
  request.resume().on("end", () => response.end("done"));
};

// The child is a server, with signatures and without.
if (process.argv[2] === "server") {
  const ports = [];
  for (const handler of [reply, signed.handler(reply)]) {
    const server = http.createServer(handler);
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports.push(server.address().port);
  }
  process.send(ports);
  await new Promise(() => {});
}

const [certificate, key] = ["alice.crt", "alice.key"].map((name) => fs.readFileSync(name, "utf8"));
const device = await fromPem(certificate, key);
const { publicKey } = new crypto.X509Certificate(certificate);
const keyid = crypto.createHash("sha256").update(new crypto.X509Certificate(certificate).raw).digest("base64url");
const isSigned = (data, signature) => crypto.verify("sha256", data, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature);
const COVERED = ["@method", "@authority", "@target-uri"];
const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

const sign = (body) => signatureHeaders(device, { method: body ? "POST" : "GET", url: `${ORIGIN}/orders`, body });
const many = async (count, body) => {
  const all = [];
  for (let made = 0; made < count; made += 1) all.push(await sign(body));
  return all;
};

const VERIFIERS = {
  "ours: signature, times, device, nonce": (headers) => signed.verify({
    httpVersionMajor: 1, method: "GET", url: "/orders", headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    rawHeaders: Object.entries(headers).flat(), complete: true, readableLength: 0,
  }),
  "http-message-signatures: signature, times": (headers) => httpbis.verifyMessage({
    keyLookup: async () => ({ id: keyid, algs: ["ecdsa-p256-sha256"], verify: async (data, signature) => isSigned(data, signature) }),
    requiredFields: COVERED, requiredParams: ["created", "expires", "nonce", "keyid", "alg", "tag"], maxAge: 60,
  }, { method: "GET", url: `${ORIGIN}/orders`, headers }),
  "http-message-sig: signature, times": (headers) => verifySignature(
    { kind: "request", method: "GET", targetUri: `${ORIGIN}/orders`, fields: Object.entries(headers).map(([name, value]) => ({ name, value })) },
    {
      policy: { algorithms: ["ecdsa-p256-sha256"], requiredComponents: COVERED, requiredParameters: ["created", "expires", "nonce", "keyid"], maxAge: 60 },
      resolveVerifier: () => ({ algorithm: "ecdsa-p256-sha256", verify: isSigned }),
    },
  ),
  "crypto.verify alone": async (headers) => {
    const base = `${COVERED.map((name) => `"${name}": x\n`).join("")}"@signature-params": ${headers["Signature-Input"]}`;
    isSigned(Buffer.from(base), Buffer.from(headers.Signature.slice(5, -1), "base64"));
  },
};

const ROUNDS = 5;
const EACH = 4000;
const rates = Object.fromEntries(Object.keys(VERIFIERS).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, verify] of Object.entries(VERIFIERS)) {
    const requests = await many(EACH);
    const begun = process.hrtime.bigint();
    for (const headers of requests) await verify(headers);
    rates[name].push(EACH / (Number(process.hrtime.bigint() - begun) / 1e9));
  }
}
for (const [name, found] of Object.entries(rates)) console.log(`rate\t${name}\t${middle(found).toFixed(0)}`);

const child = fork(fileURLToPath(import.meta.url), ["server"]);
const [plain, verifying] = await new Promise((resolve) => child.once("message", resolve));
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const ask = (port, headers, body) => new Promise((resolve, reject) => {
  const begun = process.hrtime.bigint();
  const request = http.request({ host: "127.0.0.1", port, path: "/orders", method: body ? "POST" : "GET", headers, agent }, (response) => {
    response.resume().on("end", () => {
      if (response.statusCode !== 200) return reject(new Error(`${response.statusCode}`));
      return resolve(Number(process.hrtime.bigint() - begun) / 1e6);
    });
  });
  request.on("error", reject).end(body);
});
for (const [what, body] of [["GET", undefined], ["POST of 1 KiB", Buffer.alloc(1024, "x")]]) {
  const took = { plain: [], verifying: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const requests = await many(1000, body);
    for (const headers of requests) {
      took.plain.push(await ask(plain, headers, body));
      took.verifying.push(await ask(verifying, headers, body));
    }
  }
  console.log(`added\t${what}\t${(middle(took.verifying) - middle(took.plain)).toFixed(3)}\t${middle(took.plain).toFixed(3)}`);
}
child.kill();
process.exit();
