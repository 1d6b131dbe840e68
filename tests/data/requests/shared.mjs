// Requests with shared keys that the application must take, and that it must refuse: node shared.mjs PORT ORIGIN. Prints each whose answer
// is another than the one beside it, and how many there were.

import crypto from "node:crypto";
import fs from "node:fs";
import { signatureHeaders } from "./sign-requests.mjs";

const [port, origin] = process.argv.slice(2);
const file = (name) => JSON.parse(fs.readFileSync(name, "utf8"));
const [alice, before, lost] = ["alice.json", "alice-before.json", "alice-lost.json"].map(file);
const url = `${origin}/orders`;

async function ask(headers, body) {
  const response = await fetch(`http://localhost:${port}/orders`, { method: body === undefined ? "GET" : "POST", headers, body });
  const answer = await response.json();
  return response.status === 200 ? `200 ${answer.device} ${answer.body}`.trim() : `${response.status} ${answer.code}`;
}

const signed = (sharedKey, more = {}) => signatureHeaders({ sharedKey }, { method: "GET", url, ...more });
const octets = (text) => new TextEncoder().encode(text);
// By hand, with a key and a name of one's choice.
const forged = (keyid, key, alg = "hmac-sha256") => {
  const created = Math.floor(Date.now() / 1000);
  const parameters = `("@method" "@authority" "@target-uri");created=${created};expires=${created + 60}`
    + `;nonce="${crypto.randomBytes(16).toString("base64url")}";keyid="${keyid}";alg="${alg}";tag="pki-v1"`;
  const base = `"@method": GET\n"@authority": ${new URL(url).host}\n"@target-uri": ${url}\n"@signature-params": ${parameters}`;
  return { "Signature-Input": `pki=${parameters}`, Signature: `pki=:${crypto.createHmac("sha256", key).update(base).digest("base64")}:` };
};
const key = Buffer.from(alice.key, "base64");
const again = await signed(alice);
const certificate = new crypto.X509Certificate(fs.readFileSync("alice.crt"));
const thumbprint = crypto.createHash("sha256").update(certificate.raw).digest("base64url");
const spki = certificate.publicKey.export({ type: "spki", format: "der" });

const CASES = [
  ["a key of the current epoch", again, undefined, "200 alice/phone"],
  ["the same again", again, undefined, "401 replayed"],
  ["a key of the epoch before", await signed(before), undefined, "200 alice/phone"],
  ["a body", await signed(alice, { method: "POST", body: octets("{}") }), "{}", "200 alice/phone {}"],
  ["another body", await signed(alice, { method: "POST", body: octets("{}") }), "[]", "401 digest"],
  ["the key of the phone that was lost", await signed(lost), undefined, "401 device"],
  ["by hand", forged("alice/phone/2", key), undefined, "200 alice/phone"],
  ["another device's name", forged("bob/phone/2", key), undefined, "401 device"],
  ["a revoked device's name", forged("carol/phone/2", key), undefined, "401 device"],
  ["nobody's name", forged("eve/phone/2", key), undefined, "401 device"],
  ["an epoch that has ended", forged("alice/phone/1", key), undefined, "401 device"],
  ["an epoch that there is not", forged("alice/phone/3", key), undefined, "401 device"],
  ["an epoch in another form", forged("alice/phone/02", key), undefined, "401 malformed"],
  ["no epoch", forged("alice/phone", key), undefined, "401 malformed"],
  ["the hash of a certificate", forged(thumbprint, key), undefined, "401 malformed"],
  ["a public key in the place of a secret", forged("alice/phone/2", spki), undefined, "401 device"],
  ["a public key, as if it were a signature", forged(thumbprint, spki, "ecdsa-p256-sha256"), undefined, "401 malformed"],
  ["no key", forged("alice/phone/2", ""), undefined, "401 device"],
];

let wrong = 0;
for (const [name, headers, body, right] of CASES) {
  const got = await ask(headers, body);
  wrong += got === right ? 0 : 1;
  if (got !== right) console.log(`${name}: ${got}, and not ${right}`);
}
console.log(`${CASES.length} requests, ${wrong} with another answer`);
