// Signs requests with a device's own key (RFC 9421, with RFC 9530 for bodies), for servers that verify it: see `pki config requests-node`.
// For browsers and Node.js 20 or later; it needs WebCrypto and fetch, and no other package.
//
//     import { signingFetch } from "./sign-requests.mjs";
//     const fetch = signingFetch({ key, certificate });
//     const response = await fetch("https://api.acme.example/orders?open", { method: "POST", body: JSON.stringify(order) });
//
// `key` is a CryptoKey (ECDSA, P-256, "sign"), which need not be extractable; `certificate` is the device's, DER or PEM. Who has them in
// files gets both by `fromPem`. After a renewal, make another `signingFetch` with what is new.

const { crypto } = globalThis;
const LIFE = 60;   // seconds that a signature lasts
const octets = (text) => new TextEncoder().encode(text);
const base64 = (buffer) => btoa(Array.from(new Uint8Array(buffer), (octet) => String.fromCharCode(octet)).join(""));
const base64url = (buffer) => base64(buffer).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const sha256 = (data) => crypto.subtle.digest("SHA-256", data);

// What stands first of this kind in a text, as octets.
function ofPem(text, kind) {
  const [, body] = new RegExp(`-----BEGIN ${kind}-----([A-Za-z0-9+/=\\s]+)-----END ${kind}-----`).exec(text) ?? [];
  if (body === undefined) throw new TypeError(`there is no ${kind} in this text`);
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

/** The headers that a request gets, by name: of this method and URL, with this body (octets) and this Authorization where it has them. */
export async function signatureHeaders({ key, certificate }, { method, url, body, authorization, now = Date.now() }) {
  const { href, host } = new URL(url);
  const parts = { "@method": method, "@authority": host, "@target-uri": href.replace(/#.*$/, "") };
  const headers = {};
  if (body !== undefined && body.length > 0) {
    headers["Content-Digest"] = parts["content-digest"] = `sha-256=:${base64(await sha256(body))}:`;
  }
  if (authorization !== undefined) parts.authorization = authorization;
  const created = Math.floor(now / 1000);
  const der = typeof certificate === "string" ? ofPem(certificate, "CERTIFICATE") : certificate;
  const parameters = `(${Object.keys(parts).map((name) => `"${name}"`).join(" ")});created=${created};expires=${created + LIFE}`
    + `;nonce="${base64url(crypto.getRandomValues(new Uint8Array(16)))}";keyid="${base64url(await sha256(der))}"`
    + `;alg="ecdsa-p256-sha256";tag="pki-v1"`;
  // The signature base (RFC 9421 §2.5).
  const base = [...Object.entries(parts), ["@signature-params", parameters]].map(([name, value]) => `"${name}": ${value}`).join("\n");
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, octets(base));
  return { ...headers, "Signature-Input": `pki=${parameters}`, Signature: `pki=:${base64(signature)}:` };
}

/**
 * A `fetch` that signs what it sends. The body is read whole before: its digest stands in the head. A redirect is an error, where it is
 * not said otherwise: what was signed is for one URL. Where a server says that the clock is wrong, the request is signed once more by the
 * server's.
 */
export function signingFetch(device, { fetch = globalThis.fetch } = {}) {
  let ahead = 0;   // milliseconds that the server's clock is ahead of this one
  return async (input, init = {}) => {
    const request = new Request(input, { redirect: "error", ...init });
    const body = new Uint8Array(await request.arrayBuffer());
    const send = async () => {
      const { method, url } = request;
      const authorization = request.headers.get("authorization") ?? undefined;
      const signed = await signatureHeaders(device, { method, url, body, authorization, now: Date.now() + ahead });
      const headers = new Headers(request.headers);
      for (const [name, value] of Object.entries(signed)) headers.set(name, value);
      return fetch(url, {
        method, headers, body: body.length > 0 ? body : undefined, redirect: request.redirect, signal: request.signal, cache: request.cache,
        credentials: request.credentials, mode: request.mode, referrerPolicy: request.referrerPolicy,
      });
    };
    const response = await send();
    const there = Date.parse(response.headers.get("date") ?? "");
    if (response.status !== 401 || Number.isNaN(there)) return response;
    const { code } = await response.clone().json().catch(() => ({}));
    if (code !== "clock") return response;
    ahead = there - Date.now();
    return send();
  };
}
