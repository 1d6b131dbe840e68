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

import { createHash, createPublicKey, timingSafeEqual, verify } from "node:crypto";
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

// The same, by the hash that signatures and tokens name a certificate by, as it was published last.
function followedDevices() {
  const entry = (device) => [device["x5t#S256"], { device, ends: Date.parse(device.not_after) }];
  const read = () => new Map(Array.from(acceptedDevices().values(), entry));
  let known = read();
  const { end } = followPublication([SERVER], () => {
    known = read();
  });
  const find = (hash) => {
    const found = known.get(hash);
    return found !== undefined && found.ends >= Date.now() ? found : undefined;
  };
  return { find, end };
}

// A key is made of its octets once, when its device signs for the first time since the list was read.
const keyOf = (found) => found.key ??= createPublicKey({ key: Buffer.from(found.device.spki, "base64"), format: "der", type: "spki" });

// One signature of ours: as RFC 9651 writes it, and in no other way. Another one would not be what was signed.
const INPUT = /^(?<label>[a-z*][a-z0-9_.*-]*)=(?<parameters>\((?<covered>"[a-z@-]+"(?: "[a-z@-]+")*)\)(?<others>(?:;[a-z]+=(?:[0-9]{1,12}|"[!#-[\]-~]*"))+))$/;
const NONCE = /^[A-Za-z0-9+/_-]{22}(==)?$/;   // 16 octets
const HASH = /^[A-Za-z0-9_-]{43}$/;
const SIGNATURE = /^:[A-Za-z0-9+/]{86}==:$/;   // r and s, 32 octets each

// The members of a dictionary (RFC 9651), each as it stands there. None that is signed here has an escaped character.
const members = (text) => (text.match(/(?:[^",]|"[^"]*")+/g) ?? []).map((member) => member.trim());

// The one value of a header: an application may read another of several than the one that is signed.
function only(request, name, twice = () => refuse("malformed", `${name} is there twice`)) {
  const values = request.rawHeaders.filter((_, at) => at % 2 === 1 && request.rawHeaders[at - 1].toLowerCase() === name);
  return values.length > 1 ? twice() : values[0];
}

// What the signature is said to be: what it covers, its parameters, its octets. Signatures of others beside it are theirs.
function signatureOf(request) {
  const { "signature-input": inputs, signature: signatures } = request.headers;
  if (inputs === undefined || signatures === undefined) refuse("unsigned", "the request is not signed");
  for (const [name, most] of Object.entries(LONGEST)) {
    if ((request.headers[name]?.length ?? 0) > most) refuse("malformed", `${name} is longer than ${most} octets`);
  }
  if (inputs.includes("\\") || inputs.split('"').length % 2 === 0) refuse("malformed", "signature-input cannot be read");
  const ours = members(inputs).filter((member) => member.includes(`;tag="${TAG}"`));
  if (ours.length === 0) refuse("unsigned", `no signature has the tag ${TAG}`);
  if (ours.length > 1) refuse("malformed", `two signatures have the tag ${TAG}`);
  const { label, parameters, covered, others } = INPUT.exec(ours[0])?.groups ?? refuse("malformed", "signature-input cannot be read");
  const called = (text) => members(text).filter((member) => member.startsWith(`${label}=`));
  const octets = called(signatures).map((member) => member.slice(label.length + 1));
  if (called(inputs).length !== 1 || octets.length !== 1) refuse("malformed", `not one signature is called ${label}`);
  if (!SIGNATURE.test(octets[0])) refuse("malformed", "the signature is not the 64 octets of r and s in base64");
  const given = others.slice(1).split(/;(?=[a-z]+=)/).map((parameter) => parameter.split(/=(.*)/s, 2));
  const values = Object.fromEntries(given);
  if (given.map(([name]) => name).sort().join() !== "alg,created,expires,keyid,nonce,tag") {
    refuse("malformed", "a signature has created, expires, nonce, keyid, alg and tag, each once, and nothing else");
  }
  const text = (name, form) => {
    const [, value] = /^"(.*)"$/.exec(values[name]) ?? [];
    return value !== undefined && form.test(value) ? value : refuse("malformed", `${name} is not what it should be`);
  };
  const seconds = (name) => /^[0-9]+$/.test(values[name]) ? Number(values[name]) : refuse("malformed", `${name} is no time`);
  if (text("alg", /./) !== ALGORITHM) refuse("malformed", `the algorithm is not ${ALGORITHM}`);
  text("tag", /./);
  return {
    parameters,
    covered: covered.slice(1, -1).split('" "'),
    created: seconds("created"), expires: seconds("expires"),
    nonce: text("nonce", NONCE), keyid: text("keyid", HASH),
    octets: Buffer.from(octets[0].slice(1, -1), "base64"),
  };
}

const hasBody = ({ headers }) => headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

// By which of its names a client has asked this service. The header is the client's, and chooses among what is told above.
function named({ headers }, origins) {
  if (origins.length === 1) return origins[0];
  const asked = (headers.host ?? "").toLowerCase();
  return origins.find(({ host }) => host === asked) ?? refuse("host", "this host is not served here", 421, {});
}

// What is signed of the request, by name.
function signedParts(request, origins) {
  const { origin, host } = named(request, origins);
  const target = request.originalUrl ?? request.url;   // Express and Fastify change `url`
  if (!target.startsWith("/")) refuse("malformed", "the target of the request is no path");
  const parts = { "@method": request.method, "@authority": host, "@target-uri": origin + target };
  for (const name of ["content-digest", "authorization"]) {
    const value = only(request, name);
    if (value !== undefined) parts[name] = value;
  }
  if (hasBody(request) && parts["content-digest"] === undefined) refuse("components", "the request has a body and no Content-Digest");
  return parts;
}

// The signature base (RFC 9421 §2.5).
function base({ covered, parameters }, parts) {
  const names = Object.keys(parts);
  if (covered.length !== names.length || !names.every((name) => covered.includes(name))) {
    refuse("components", `the signature must cover ${names.join(", ")}, each once, and nothing else`);
  }
  return Buffer.from(covered.map((name) => `"${name}": ${parts[name]}\n`).join("") + `"@signature-params": ${parameters}`, "latin1");
}

function judgeTimes({ created, expires }) {
  if (expires <= created || expires > created + LIFE) refuse("malformed", `a signature lasts at most ${LIFE} seconds`);
  const now = Date.now() / 1000;
  if (created < now - OLDEST) refuse("clock", "the request was signed too long ago: is the device's clock right?");
  if (created > now + NEWEST) refuse("clock", "the request was signed in the future: is the device's clock right?");
  if (expires < now) refuse("clock", "the signature has expired");
}

// Whose certificate it is that signs. What is not on the list is revoked, or was never ours: nobody is told which.
function accepted(devices, keyid) {
  const found = devices.find(keyid) ?? refuse("device", "this certificate is of no device that is accepted");
  // The list is of a `pki` before this one.
  if (found.device.spki === undefined) refuseFor(5, 503, "unavailable", "the list of devices has no keys: publish it anew");
  return found;
}

// The body as it was received, and the request as if nobody had read it yet: what reads it next finds all of it.
async function received(request, most) {
  const tooLong = () => new Refusal(413, "too-large", `the body is longer than ${most} octets`);
  if (Number(request.headers["content-length"] ?? 0) > most) throw tooLong();
  // Of chunks that end as soon as they begin, whoever listens in the same turn of the loop would hear the end, and nobody after that.
  if (request.headers["transfer-encoding"] !== undefined) await new Promise(setImmediate);
  if (request.complete && request.readableLength === 0) return Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const chunks = [];
    let length = 0;
    const done = (settle, value) => {
      for (const [event, listener] of listeners) request.off(event, listener);
      settle(value);
    };
    const cut = () => done(reject, new Refusal(400, "cut", "the request was cut off"));
    const read = () => {
      // No further than what is there: a read beyond it would end the stream for whoever comes next.
      while (request.readableLength > 0) {
        const chunk = request.read();
        chunks.push(chunk);
        length += chunk.length;
        if (length > most) return done(reject, tooLong());
      }
      if (!request.complete) return undefined;
      const body = Buffer.concat(chunks);
      if (length > 0) request.unshift(body);
      return done(resolve, body);
    };
    const listeners = [["readable", read], ["aborted", cut], ["close", cut], ["error", cut]];
    for (const [event, listener] of listeners) request.on(event, listener);
  });
}

// Each digest of an algorithm that is known must be the body's, and one must be there (RFC 9530 §2).
function judgeDigest(body, text) {
  const known = members(text).map((member) => /^sha-(256|512)=:([A-Za-z0-9+/]+={0,2}):$/.exec(member)).filter((found) => found !== null);
  const isOf = ([, bits, digest]) => {
    const [said, found] = [Buffer.from(digest, "base64"), createHash(`sha${bits}`).update(body).digest()];
    return said.length === found.length && timingSafeEqual(said, found);
  };
  if (known.length === 0) refuse("digest", "Content-Digest has neither sha-256 nor sha-512");
  if (!known.every(isOf)) refuse("digest", "the body is not the one that was signed");
}

const KEPT = 90;   // seconds: no signature is taken for longer than LIFE + NEWEST
const MOST = 6000;   // nonces of one device that are kept

/**
 * Remembers which nonces came, in this process: each for at least 90 seconds, and at most `most` of one device. None is forgotten to make
 * room for another: a device that fills its share is told to wait, and no other one notices.
 */
export function ownReplays(most = MOST) {
  let [current, previous, began] = [new Map(), new Map(), performance.now()];
  return {
    add(device, nonce) {
      const age = (performance.now() - began) / 1000;
      if (age >= KEPT) [current, previous, began] = [new Map(), age < 2 * KEPT ? current : new Map(), performance.now()];
      const [older, newer] = [previous.get(device), current.get(device) ?? new Set()];
      if (newer.has(nonce) || older?.has(nonce)) return "seen";
      if (newer.size + (older?.size ?? 0) >= most) return "full";
      current.set(device, newer.add(nonce));
      return "new";
    },
  };
}

// Redis and Valkey run it as one step. A set for each device, in the order of time.
const ADD = `
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 'seen' end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 'full' end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3] + 1)
return 'new'`;

/**
 * The same for several processes, in Redis or Valkey (`maxmemory-policy noeviction`). `evaluate` runs a script there:
 *
 *     sharedReplays((script, keys, values) => client.eval(script, { keys, arguments: values }))                  the package redis
 *     sharedReplays((script, keys, values) => client.eval(script, keys.length, ...keys, ...values))             ioredis, iovalkey
 *
 * Where it cannot be asked, no request is taken.
 */
export const sharedReplays = (evaluate, most = MOST) => ({
  add: (device, nonce) => evaluate(ADD, [`pki:nonces:{${device}}`], [nonce, String(most), String(KEPT + 1)]),
});

async function judgeNonce(replays, { address }, nonce) {
  let found;
  try {
    found = await replays.add(address, nonce);
  } catch (error) {
    console.error(`nonces cannot be kept: ${error.message}`);
    found = error;
  }
  if (found === "seen") refuse("replayed", "this request came before");
  if (found === "full") refuseFor(KEPT, 429, "busy", "this device has sent too many requests: wait");
  if (found !== "new") refuseFor(5, 503, "unavailable", "requests cannot be taken now");
}

// Whoever signs is who a request comes from, whatever a client or a proxy claims, and however the header is written.
const isClaim = (name) => /^x[^a-z0-9]client[^a-z0-9]device$/i.test(name);

{% include "part/tell-device.mjs" %}

// The forms in which frameworks take what lets a request through or throws a Refusal.
function forms(judge, maxBody) {
  const asRefusal = (error) => {
    if (error instanceof Refusal) return error;
    console.error(error);
    return new Refusal(500, "fault", "the request could not be verified");
  };
  // The rest of a body that is too long, or whose length nobody knows, is not waited for.
  const headersOf = ({ headers }, { headers: asked, complete }) =>
    complete || Number(asked["content-length"] ?? Infinity) <= maxBody ? headers : { ...headers, Connection: "close" };
  const answer = (request, response, refusal) => {
    response.writeHead(refusal.status, headersOf(refusal, request)).end(refusal.body);
  };
  const express = (request, response, next) => {
    judge(request).then(() => next(), (error) => answer(request, response, asRefusal(error)));
  };
  const plugin = async (instance) => {
    for (const name of ["device", "token"]) if (!instance.hasRequestDecorator(name)) instance.decorateRequest(name, null);
    instance.addHook("onRequest", async (request, reply) => {
      try {
        await judge(request.raw);
      } catch (error) {
        const refusal = asRefusal(error);
        return reply.code(refusal.status).headers(headersOf(refusal, request.raw)).send(refusal.body);
      }
      Object.assign(request, { device: request.raw.device, token: request.raw.token });
      return undefined;
    });
  };
  return {
    express,
    /** A handler of plain http that gets what is let through. */
    handler: (handle) => (request, response) => express(request, response, () => handle(request, response)),
    /** A plugin of Fastify: for everything in the instance that it is registered in. */
    fastify: Object.assign(plugin, { [Symbol.for("skip-override")]: true }),
  };
}

/**
 * Verifies requests. `origins`: by what clients name this service, scheme included; `maxBody`: the most octets of a body, 1 MiB where it
 * is not said; `replays`: where nonces are remembered. `close()` ends it.
 */
export function signedRequests({ origins = ORIGINS, maxBody = 1 << 20, replays = ownReplays() } = {}) {
  const places = origins.map((one) => new URL(one));
  const devices = followedDevices();

  /** The device that has signed a request; throws a `Refusal`. The request can be read afterwards as if nobody had. */
  async function verifyRequest(request) {
    const signature = signatureOf(request);
    const parts = signedParts(request, places);
    const signed = base(signature, parts);
    judgeTimes(signature);
    const signer = accepted(devices, signature.keyid);
    const isItsOwn = verify("sha256", signed, { key: keyOf(signer), dsaEncoding: "ieee-p1363" }, signature.octets);
    if (!isItsOwn) refuse("signature", "the signature is not that of this request by this device");
    const digest = parts["content-digest"];
    if (digest !== undefined) judgeDigest(hasBody(request) ? await received(request, maxBody) : Buffer.alloc(0), digest);
    await judgeNonce(replays, signer.device, signature.nonce);
    // A body may have taken long: who was revoked meanwhile is out.
    const { device } = accepted(devices, signature.keyid);
    tellDevice(request, device);
    return device;
  }

  return { verify: verifyRequest, ...forms(verifyRequest, maxBody), close: devices.end };
}

const refuseToken = (message, error = `, error="invalid_token", error_description="${message}"`) =>
  refuse("token", message, 401, { "WWW-Authenticate": `Bearer realm="devices"${error}` });

/**
 * Lets a request through whose access token was issued to the device that it comes from (RFC 8705 §3), by the thumbprint in its `cnf`.
 * A device has another certificate after each renewal, and the token the thumbprint of an earlier one: it is taken as long as servers
 * accept that certificate, and it is the same device's. `strict: true` takes the certificate of the token alone.
 *
 * `claims(token, request)` verifies a token, and gives its claims; what it throws is a token that is not good. `device(request)` gives
 * the device that the request comes from, where it is not in `request.device`; behind a proxy that has verified the certificate,
 * `({ headers }) => ({ address: headers["x-client-device"] })`, which is too little for `strict`. Handlers find the claims in
 * `request.token`.
 */
export function boundTokens({ claims, device = (request) => request.device, strict = false }) {
  const devices = followedDevices();

  /** The claims of a request's token; throws a `Refusal`. */
  async function judge(request) {
    const authorization = only(request, "authorization", () => refuseToken("there are two access tokens")) ?? "";
    const [, token] = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(authorization) ?? refuseToken("there is no access token", "");
    const from = device(request);
    if (!from?.address) throw new Error("boundTokens does not know which device a request comes from: see its `device`");
    const verified = async () => claims(token, request);
    const found = await verified().catch(() => refuseToken("the token is not good"));
    const thumbprint = found?.cnf?.["x5t#S256"];
    if (typeof thumbprint !== "string") refuseToken("the token is bound to no device");
    if (strict && thumbprint !== from["x5t#S256"]) refuseToken("the token was issued to another certificate");
    const owner = devices.find(thumbprint) ?? refuseToken("the token was issued to a certificate that is not accepted any more");
    if (owner.device.address !== from.address) refuseToken("the token was issued to another device");
    request.token = found;
    return found;
  }
  return { verify: judge, ...forms(judge, Infinity), close: devices.end };
}
