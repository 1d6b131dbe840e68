// Two libraries of npm's sign what the application must take, and verify what our signers sign: node foreign.mjs PORT ORIGIN.

import crypto from "node:crypto";
import fs from "node:fs";
import { httpbis } from "http-message-signatures";
import { createSignature, verifySignature } from "http-message-sig";
import { fromPem, signatureHeaders } from "./sign-requests.mjs";

const [port, origin] = process.argv.slice(2);
const [certificate, key] = ["alice.crt", "alice.key"].map((name) => fs.readFileSync(name, "utf8"));
const { raw, publicKey } = new crypto.X509Certificate(certificate);
const keyid = crypto.createHash("sha256").update(raw).digest("base64url");
const sign = (data) => crypto.sign("sha256", data, { key, dsaEncoding: "ieee-p1363" });
const isSigned = (data, signature) => crypto.verify("sha256", data, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature);
const nonce = () => crypto.randomBytes(16).toString("base64url");
const digest = (body) => `sha-256=:${crypto.createHash("sha256").update(body).digest("base64")}:`;
const url = `${origin}/orders?open=%2F`;
const body = '{"one":1}';
const covered = ["@method", "@authority", "@target-uri", "content-digest", "authorization"];

async function send(headers) {
  const response = await fetch(`http://localhost:${port}/orders?open=%2F`, { method: "POST", headers, body });
  const text = await response.text();
  return response.status === 200 && JSON.parse(text).body === body ? "taken" : `${response.status} ${text}`;
}

const own = { "Content-Digest": digest(body), Authorization: "Bearer word" };
const created = new Date();
const expires = new Date(created.getTime() + 60000);

const first = await httpbis.signMessage({
  key: { id: keyid, alg: "ecdsa-p256-sha256", sign: async (data) => sign(data) },
  name: "pki", fields: covered, params: ["created", "expires", "nonce", "keyid", "alg", "tag"],
  paramValues: { created, expires, nonce: nonce(), tag: "pki-v1" },
}, { method: "POST", url, headers: own });
console.log("http-message-signatures:", await send(first.headers));

const fieldsOf = (headers) => Object.entries(headers).map(([name, value]) => ({ name, value }));
const described = (headers) => ({ kind: "request", method: "POST", targetUri: url, fields: fieldsOf(headers) });
const seconds = (date) => Math.floor(date.getTime() / 1000);
const second = await createSignature(described(own), {
  label: "pki", components: covered, signer: { algorithm: "ecdsa-p256-sha256", sign },
  parameters: { created: seconds(created), expires: seconds(expires), nonce: nonce(), keyid, alg: "ecdsa-p256-sha256", tag: "pki-v1" },
});
console.log("http-message-sig:", await send({ ...own, Signature: second.signature, "Signature-Input": second.signatureInput }));

// What our signers sign: the one for fetch, and the program, whose lines come on stdin.
const device = await fromPem(certificate, key);
const ours = await signatureHeaders(device, { method: "POST", url, body: new TextEncoder().encode(body), authorization: "Bearer word" });
const lines = fs.readFileSync(0, "utf8").trim().split("\n").map((line) => line.split(/: (.*)/s, 2));
for (const [who, headers] of [["the signer for fetch", ours], ["the program", Object.fromEntries(lines)]]) {
  const message = { method: "POST", url, headers: { ...headers, Authorization: "Bearer word" } };
  const verified = await httpbis.verifyMessage({
    keyLookup: async ({ keyid: asked }) => asked === keyid ? { id: keyid, algs: ["ecdsa-p256-sha256"], verify: async (data, signature) => isSigned(data, signature) } : null,
    requiredFields: covered, requiredParams: ["created", "expires", "nonce", "keyid", "alg", "tag"], maxAge: 60,
  }, message);
  const also = await verifySignature(described(message.headers), {
    policy: {
      algorithms: ["ecdsa-p256-sha256"], requiredComponents: covered, requiredParameters: ["created", "expires", "nonce", "keyid"], maxAge: 60,
    },
    resolveVerifier: ({ parameters }) => {
      if (parameters.keyid !== keyid) throw new Error("another key");
      return { algorithm: "ecdsa-p256-sha256", verify: isSigned };
    },
  });
  console.log(`${who}: ${verified} ${also.label} ${headers["Content-Digest"] === digest(body)}`);
}
