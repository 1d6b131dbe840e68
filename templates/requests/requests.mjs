// What an application at {% for host in hosts %}{{ host.host }}{% if not loop.last %}, {% endif %}{% endfor %} asks about the requests of devices.
//
// Has the device signed it with its own key (RFC 9421, with RFC 9530 for bodies)? A request that nobody's device has signed, that was
// altered on its way, or that comes a second time, gets 401 and reaches no handler:
//
//     import { boundTokens, signedRequests } from "./requests.mjs";
//     const signed = signedRequests();
//     http.createServer(signed.handler((request, response) => …request.device.address…))     plain http
//     app.use(signed.express)                                     Express, before everything that reads bodies
//     await fastify.register(signed.fastify)                      Fastify
//
// Was its access token issued to this device (RFC 8705)? Behind what tells `request.device`: signedRequests, or `pki config node`:
//
//     const bound = boundTokens({ claims: async (token) => (await jwtVerify(token, keys, { issuer, audience })).payload });
//     app.use(signed.express, bound.express)                      and the same three forms
//
// Both read every publication as it comes: a device that is revoked is out at once. Several processes that answer for one host share a
// `replays: sharedReplays(…)`. Node.js 18 or later; no other package.

import { createHash, createHmac, createPublicKey, hkdfSync, timingSafeEqual, verify } from "node:crypto";
import fs from "node:fs";

// By what clients name this service. It is told here, and taken from no header: those are anybody's.
const ORIGINS = [
{% for host in hosts %}
  "https://{% if ':' in host.host %}[{{ host.host }}]{% else %}{{ host.host }}{% endif %}{% if port != 443 %}:{{ port }}{% endif %}",
{% endfor %}
];
// The servers' half of the publication: this account must be able to read it ([[publish]] group = … in pki.toml).
const SERVER = {{ server }};

const TAG = "pki-v1";
const ALGORITHM = "ecdsa-p256-sha256";
const SHARED = "hmac-sha256";   // of devices that cannot sign, where `signedRequests` is given secrets
const OLDEST = 60, NEWEST = 30, LIFE = 60;   // seconds: how far off a device's clock may be behind and ahead, and what a signature may last
const LONGEST = { "signature-input": 2048, signature: 1024, "content-digest": 512, authorization: 16384 };   // octets
const ACCEPTED = `pki=("@method" "@authority" "@target-uri");created;expires;nonce;keyid;alg="${ALGORITHM}";tag="${TAG}"`;

/** Why a request reaches no handler. `code` is for programs: docs/protocol.md has all of them. */
export class Refusal extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code });
    this.headers = { "Content-Type": "application/problem+json", "Cache-Control": "no-store", ...headers };
  }

  /** A problem document (RFC 9457). */
  get body() {
    return `${JSON.stringify({ status: this.status, code: this.code, detail: this.message })}\n`;
  }
}

const SIGN = { "WWW-Authenticate": 'Signature realm="devices"', "Accept-Signature": ACCEPTED };
const refuse = (code, message, status = 401, headers = SIGN) => {
  throw new Refusal(status, code, message, headers);
};
const refuseFor = (seconds, status, code, message) => refuse(code, message, status, { "Retry-After": String(seconds) });

{% include "part/accepted-devices.mjs" %}

{% include "requests/followed-devices.mjs" %}

{% include "requests/signature.mjs" %}

{% include "requests/keys.mjs" %}

{% include "requests/body.mjs" %}

{% include "requests/replays.mjs" %}

// Whoever signs is who a request comes from, whatever a client or a proxy claims, and however the header is written.
const isClaim = (name) => /^x[^a-z0-9]client[^a-z0-9]device$/i.test(name);

{% include "part/tell-device.mjs" %}

{% include "requests/forms.mjs" %}

// What is in the file of another host, or of a device, verifies nothing.
function demandSecrets({ version, host, epochs }, places) {
  const isEpoch = ({ number, secret }) => Number.isInteger(number) && typeof secret === "string";
  const isThat = version === 1 && Array.isArray(epochs) && epochs.every(isEpoch);
  if (!isThat) throw new TypeError("`secrets` is what is in the file of `pki hmac show HOST --out FILE`, parsed");
  const isOurs = places.some(({ hostname }) => hostname.replace(/^\[|\]$/g, "") === host);
  if (!isOurs) throw new TypeError(`these secrets are of ${host}, and not of this service`);
}

/**
 * Verifies requests. `origins`: by what clients name this service, scheme included; `maxBody`: the most octets of a body, 1 MiB where it
 * is not said; `replays`: where nonces are remembered; `secrets`: what is in the file of `pki hmac show HOST --out FILE`, for devices that
 * cannot sign and have a shared key. `close()` ends it.
 */
export function signedRequests({ origins = ORIGINS, maxBody = 1 << 20, replays = OWN_REPLAYS, secrets } = {}) {
  if (arguments.length > 1) throw new TypeError("signedRequests makes the middleware: app.use(signedRequests().express)");
  const places = origins.map((one) => new URL(one));
  if (secrets !== undefined) demandSecrets(secrets, places);
  const devices = followedDevices();

  /** The device that has signed a request; throws a `Refusal`. The request can be read afterwards as if nobody had. */
  async function verifyRequest(request) {
    if (request.httpVersionMajor !== 1) throw new Error("only HTTP/1.1 is understood here: let a proxy speak it to this application");
    const signature = signatureOf(request, secrets === undefined ? [ALGORITHM] : [ALGORITHM, SHARED]);
    const parts = signedParts(request, places);
    const signed = base(signature, parts);
    judgeTimes(signature);
    const signer = accepted(devices, secrets, signature);
    if (!signer.isItsOwn(signed, signature.octets)) {
      if (signature.alg === SHARED) noneShared();
      refuse("signature", `the signature is not that of this request, to ${parts["@target-uri"].split("?")[0]}, by this device`);
    }
    const digest = parts["content-digest"];
    if (digest !== undefined) {
      const read = () => received(request, maxBody, signature.expires);
      judgeDigest(hasBody(request) ? await oneOfFew(signer.device, signature.nonce, read) : Buffer.alloc(0), digest);
    }
    await judgeNonce(replays, signer.device, signature.nonce);
    // Body and nonce may have taken long. A nonce counts only while the signature does, and who was revoked meanwhile is out.
    judgeTimes(signature);
    const { device, isItsOwn } = accepted(devices, secrets, signature);
    // A lost device's name may be another one's by now, with a key of its own.
    if (signature.alg === SHARED && !isItsOwn(signed, signature.octets)) noneShared();
    // Who has a shared key shows no certificate, and counts for none of the device's.
    tellDevice(request, signature.alg === SHARED ? { address: device.address } : device);
    return device;
  }

  return { verify: verifyRequest, ...forms(verifyRequest, maxBody), close: devices.end };
}

{% include "requests/bound-tokens.mjs" %}
