// Signs requests with a device's own key (RFC 9421, with RFC 9530 for bodies), for servers that verify it: see `pki config requests-node`.
// For browsers and Node.js 20 or later; it needs WebCrypto and fetch, and no other package.
//
//     import { signingFetch } from "./sign-requests.mjs";
//     const fetch = signingFetch({ key, certificate }, { origins: ["https://api.acme.example"] });
//     const response = await fetch("https://api.acme.example/orders?open", { method: "POST", body: JSON.stringify(order) });
//
// `key` is a CryptoKey (ECDSA, P-256, "sign"), which need not be extractable; `certificate` is the device's, DER or PEM. Who has them in
// files gets both by `fromPem`. What cannot have a key of its own: `signingFetch({ sharedKey }, { origins })`, with what `pki hmac show
// HOST ADDRESS --out FILE` has written, parsed. After a renewal, make another `signingFetch` with what is new.

const { crypto } = globalThis;
const LIFE = 60;   // seconds that a signature lasts
const FARTHEST = 86_400_000;   // milliseconds that another clock is followed: no further, or what was signed would be good some day
const octets = (text) => new TextEncoder().encode(text);
const base64 = (buffer) => btoa(Array.from(new Uint8Array(buffer), (octet) => String.fromCharCode(octet)).join(""));
const base64url = (buffer) => base64(buffer).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const sha256 = (data) => crypto.subtle.digest("SHA-256", data);

// What stands first of this kind in a text, as octets.
function ofPem(text, kind) {
  const [, body] = new RegExp(`-----BEGIN ${kind}-----([A-Za-z0-9+/=\\s]+)-----END ${kind}-----`).exec(text) ?? [];
  const help = "PEM; of a key, as openssl pkcs8 -topk8 -nocrypt writes it";
  if (body === undefined) throw new TypeError(`there is no ${kind} in this text (${help})`);
  return Uint8Array.from(atob(body.replace(/\s/g, "")), (character) => character.charCodeAt(0));
}

/** What `signingFetch` takes, from the device's certificate and its key (PKCS#8, not encrypted), both in PEM. */
export async function fromPem(certificate, key) {
  const kind = { name: "ECDSA", namedCurve: "P-256" };
  return {
    certificate: ofPem(certificate, "CERTIFICATE"),
    key: await crypto.subtle.importKey("pkcs8", ofPem(key, "PRIVATE KEY"), kind, false, ["sign"]),
  };
}

// What signs: the device's own key, or one that it shares with the server.
async function signerOf(device) {
  if (device.sharedKey !== undefined) {
    const kind = { name: "HMAC", hash: "SHA-256" };
    const octets = Uint8Array.from(atob(device.sharedKey.key), (character) => character.charCodeAt(0));
    const key = await crypto.subtle.importKey("raw", octets, kind, false, ["sign"]);
    return { keyid: device.sharedKey.keyid, alg: "hmac-sha256", sign: (base) => crypto.subtle.sign(kind, key, base) };
  }
  const { key, certificate } = device;
  const der = typeof certificate === "string" ? ofPem(certificate, "CERTIFICATE") : certificate;
  const sign = (base) => crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, base);
  return { keyid: base64url(await sha256(der)), alg: "ecdsa-p256-sha256", sign };
}

/** The headers that a request gets, by name: of this method and URL, with this body (octets) and this Authorization where it has them. */
export async function signatureHeaders(device, { method, url, body, authorization, now = Date.now() }) {
  const { href, host } = new URL(url);
  const parts = { "@method": method, "@authority": host, "@target-uri": href.replace(/#.*$/, "") };
  const headers = {};
  if (body !== undefined && body.length > 0) {
    headers["Content-Digest"] = parts["content-digest"] = `sha-256=:${base64(await sha256(body))}:`;
  }
  if (authorization !== undefined) parts.authorization = authorization;
  const created = Math.floor(now / 1000);
  const { keyid, alg, sign } = await signerOf(device);
  const parameters = `(${Object.keys(parts).map((name) => `"${name}"`).join(" ")});created=${created};expires=${created + LIFE}`
    + `;nonce="${base64url(crypto.getRandomValues(new Uint8Array(16)))}";keyid="${keyid}";alg="${alg}";tag="pki-v1"`;
  // The signature base (RFC 9421 §2.5).
  const base = [...Object.entries(parts), ["@signature-params", parameters]].map(([name, value]) => `"${name}": ${value}`).join("\n");
  const signature = await sign(octets(base));
  return { ...headers, "Signature-Input": `pki=${parameters}`, Signature: `pki=:${base64(signature)}:` };
}

/**
 * A `fetch` that signs what it sends to these `origins`; other servers are told nothing of the device. A body is read whole before: its
 * digest stands in the head. A redirect is an error, where it is not said otherwise: what was signed is for one URL. Where a server says
 * that the clock is wrong, by a day at most, the request is signed once more by that server's.
 */
export function signingFetch(device, { origins, fetch = globalThis.fetch }) {
  // For each, the milliseconds that its clock is ahead of this one.
  const ahead = new Map(origins.map((origin) => [new URL(origin).origin, 0]));
  return async (input, init = {}) => {
    const request = new Request(input, { ...init, redirect: init.redirect ?? (input instanceof Request ? input.redirect : "error") });
    const { method, url } = request;
    const { origin } = new URL(url);
    if (!ahead.has(origin)) return fetch(input, init);
    const body = new Uint8Array(await request.arrayBuffer());
    const send = async () => {
      const authorization = request.headers.get("authorization") ?? undefined;
      const signed = await signatureHeaders(device, { method, url, body, authorization, now: Date.now() + ahead.get(origin) });
      const headers = new Headers(request.headers);
      for (const [name, value] of Object.entries(signed)) headers.set(name, value);
      // What else a fetch is told stays: in Node.js the `dispatcher`, by which it shows the device's certificate.
      return fetch(url, {
        ...init, method, headers, body: body.length > 0 ? body : undefined, redirect: request.redirect, signal: request.signal,
        cache: request.cache, credentials: request.credentials, mode: request.mode, referrerPolicy: request.referrerPolicy,
        integrity: request.integrity, keepalive: request.keepalive,
      });
    };
    const response = await send();
    const there = Date.parse(response.headers.get("date") ?? "");
    if (response.status !== 401 || Number.isNaN(there)) return response;
    const { code } = await response.clone().json().catch(() => ({}));
    if (code !== "clock") return response;
    if (Math.abs(there - Date.now()) > FARTHEST) return response;
    ahead.set(origin, there - Date.now());
    return send();
  };
}
