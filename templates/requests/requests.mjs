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

const STALE = "the list of devices has ended: look why no publication comes";

// The devices by the hash that signatures and tokens name a certificate by, as it was published last. All that ask in this process read
// it once.
let followed;
function followedDevices() {
  if (followed === undefined) {
    const accepted = devicesBy("x5t#S256");
    try {
      accepted.read();
    } catch (error) {
      const help = "it must be the servers' half of a publication, whole, that this account can read ([[publish]] group = … in pki.toml)";
      throw new Error(`${SERVER}: ${error.message}: ${help}`);
    }
    const groups = new WeakMap();
    // The devices of a list by their addresses, made when one is asked for so.
    const byAddress = (list) => {
      if (!groups.has(list)) {
        const made = new Map();
        for (const device of list) made.set(device.address, [...made.get(device.address) ?? [], device]);
        groups.set(list, made);
      }
      return groups.get(list);
    };
    const isGood = (device) => device !== undefined && Date.parse(device.not_after) >= Date.now();
    const inDate = () => accepted.lists.until >= Date.now() || refuseFor(60, 503, "unavailable", STALE);
    followed = {
      users: 0,
      publication: followPublication([SERVER], accepted.read),
      find: (hash) => inDate() && [accepted.get(hash)].find(isGood),
      // One certificate of a device, for what goes by its address.
      findAddress: (address) => {
        const { whole, changed } = inDate() && accepted.lists;
        const all = [changed, whole].flatMap((list) => byAddress(list).get(address) ?? []);
        return all.find((device) => isGood(device) && accepted.get(device["x5t#S256"]) === device);
      },
    };
  }
  const { publication, find, findAddress } = followed;
  followed.users += 1;
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    followed.users -= 1;
    if (followed.users > 0) return;
    publication.end();
    followed = undefined;
  };
  return { find, findAddress, end };
}

// The key of a device is made of its octets once, when it signs for the first time since the list was read.
const publicKeys = new WeakMap();
function publicKeyOf(device) {
  if (!publicKeys.has(device)) {
    let key;
    try {
      const spki = Buffer.from(device.spki, "base64");
      if (createHash("sha256").update(spki).digest("base64") !== device.spki_sha256) throw new Error("it is not that of its hash");
      key = createPublicKey({ key: spki, format: "der", type: "spki" });
    } catch (error) {
      console.error(`the list has no key of ${device.address} that can be used: ${error.message}`);
    }
    publicKeys.set(device, key);
  }
  return publicKeys.get(device) ?? refuseFor(60, 503, "unavailable", "the list of devices has no key of this one: publish it anew");
}

// One signature of ours: as RFC 9651 writes it, and in no other way. Another one would not be what was signed.
const INPUT = /^(?<label>[a-z*][a-z0-9_.*-]*)=(?<parameters>\((?<covered>"[a-z@-]+"(?: "[a-z@-]+")*)\)(?<others>(?:;[a-z]+=(?:[0-9]{1,12}|"[!#-[\]-~]*"))+))$/;
const NONCE = /^[A-Za-z0-9+/_-]{22}(==)?$/;   // 16 octets
// For each algorithm, how it names a key, and its signature: r and s, 32 octets each, or the 32 octets of the hash.
const FORMS = {
  [ALGORITHM]: { keyid: /^[A-Za-z0-9_-]{43}$/, signature: /^:[A-Za-z0-9+/]{86}==:$/ },
  [SHARED]: { keyid: /^[a-z0-9._-]+\/[a-z0-9._-]+\/[1-9][0-9]{0,5}$/, signature: /^:[A-Za-z0-9+/]{43}=:$/ },
};

// The members of a dictionary (RFC 9651), each as it stands there. None that is signed here has an escaped character.
const members = (text) => (text.match(/(?:[^",]|"[^"]*")+/g) ?? []).map((member) => member.trim());

// The one value of a header: an application may read another of several than the one that is signed.
function only(request, name, twice = () => refuse("malformed", `${name} is there twice`)) {
  const values = request.rawHeaders.filter((_, at) => at % 2 === 1 && request.rawHeaders[at - 1].toLowerCase() === name);
  return values.length > 1 ? twice() : values[0];
}

// What the signature is said to be: what it covers, its parameters, its octets. Signatures of others beside it are theirs.
function signatureOf(request, algorithms) {
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
  text("tag", /./);
  const alg = text("alg", /./);
  if (!algorithms.includes(alg)) refuse("malformed", `the algorithm is not ${algorithms.join(" or ")}`);
  if (!FORMS[alg].signature.test(octets[0])) refuse("malformed", "the signature is not as many octets, in base64, as its algorithm has");
  return {
    parameters,
    covered: covered.slice(1, -1).split('" "'),
    created: seconds("created"), expires: seconds("expires"),
    alg, nonce: text("nonce", NONCE), keyid: text("keyid", FORMS[alg].keyid),
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

const nobody = () => refuse("device", "this is the key of no device that is accepted");

// Whose key it is, and how it verifies. What is not on the list is revoked, or was never ours: nobody is told which.
function accepted(devices, secrets, { alg, keyid }) {
  if (alg === SHARED) {
    const [, address, number] = /^(.*)\/(.*)$/.exec(keyid);
    const isMeant = (epoch) => String(epoch.number) === number && (epoch.until === null || Date.parse(epoch.until) >= Date.now());
    const epoch = secrets.epochs.find(isMeant) ?? nobody();
    const device = devices.findAddress(address) ?? nobody();
    const isItsOwn = (signed, octets) => timingSafeEqual(createHmac("sha256", sharedKey(epoch, device)).update(signed).digest(), octets);
    return { device, isItsOwn };
  }
  const device = devices.find(keyid) ?? nobody();
  const isItsOwn = (signed, octets) => verify("sha256", signed, { key: publicKeyOf(device), dsaEncoding: "ieee-p1363" }, octets);
  return { device, isItsOwn };
}

// The key of a device in an epoch. `first` is its first certificate after its last revocation: a lost phone's key does not come back.
const sharedKeys = new WeakMap();
function sharedKey({ number, secret }, device) {
  const { address, first = nobody() } = device;
  const known = sharedKeys.get(device) ?? new Map();
  sharedKeys.set(device, known);
  if (!known.has(secret)) {
    const octets = hkdfSync("sha256", Buffer.from(secret, "base64"), String(number), `pki/v1/http-hmac/${address}${first}`, 32);
    known.set(secret, Buffer.from(octets));
  }
  return known.get(secret);
}

// So many bodies of one device are read at a time: each may be as long as any.
const BODIES = 32;
const bodies = new Map();
async function oneOfFew({ address }, read) {
  const count = bodies.get(address) ?? 0;
  if (count >= BODIES) refuseFor(1, 429, "busy", "this device sends too many bodies at once: wait");
  bodies.set(address, count + 1);
  try {
    return await read();
  } finally {
    const left = bodies.get(address) - 1;
    if (left === 0) bodies.delete(address);
    else bodies.set(address, left);
  }
}

const isTooLong = (most) => new Refusal(413, "too-large", `the body is longer than ${most} octets`);

// The body as it was received, and the request as if nobody had read it yet: what reads it next finds all of it. What has not come when
// the signature expires is not waited for: the nonce would be forgotten before it is judged.
async function received(request, most, expires) {
  if (request.readableDidRead || request.readableEnded) throw new Error("a body was read before its signature: put signedRequests first");
  if (Number(request.headers["content-length"] ?? 0) > most) throw isTooLong(most);
  // Of chunks that end as soon as they begin, whoever listens in the same turn of the loop would hear the end, and nobody after that.
  if (request.headers["transfer-encoding"] !== undefined) await new Promise(setImmediate);
  if (request.complete && request.readableLength === 0) return Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    let body = Buffer.allocUnsafe(4096);
    let length = 0;
    const done = (settle, value) => {
      clearTimeout(late);
      for (const [event, listener] of listeners) request.off(event, listener);
      settle(value);
    };
    // Chunks may be of one octet each: they are not kept, but what is in them.
    const keep = (chunk) => {
      if (length + chunk.length > body.length) {
        const longer = Buffer.allocUnsafe(Math.max(2 * body.length, length + chunk.length));
        body.copy(longer, 0, 0, length);
        body = longer;
      }
      length += chunk.copy(body, length);
    };
    const cut = () => done(reject, new Refusal(400, "cut", "the request was cut off"));
    const read = () => {
      // No further than what is there: a read beyond it would end the stream for whoever comes next.
      while (request.readableLength > 0) {
        const chunk = request.read();
        if (length + chunk.length > most) return done(reject, isTooLong(most));
        keep(chunk);
      }
      if (!request.complete) return undefined;
      body = body.subarray(0, length);
      if (length > 0) request.unshift(body);
      return done(resolve, body);
    };
    const slow = () => done(reject, new Refusal(408, "slow", "the signature expired before the body was there"));
    const late = setTimeout(slow, Math.max(0, expires * 1000 - Date.now()));
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
const PATIENCE = 2;   // seconds that may pass until a place for nonces answers
const MOST = 6000;   // nonces of one device that are kept

/**
 * Remembers which nonces came, in this process: each for at least 90 seconds, and at most `most` of one device. None is forgotten to make
 * room for another: a device that fills its share is told to wait, and no other one notices. A process that is started anew remembers
 * none, and takes for a minute what the one before has taken: where that matters, use `sharedReplays`.
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
      // A copy: the nonce is a part of the header, and would keep all of it.
      current.set(device, newer.add(Buffer.from(nonce).toString("latin1")));
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
 *     createClient({ url, disableOfflineQueue: true })                                               the package redis
 *     sharedReplays((script, keys, values) => client.eval(script, { keys, arguments: values }))
 *
 *     new Redis(url, { maxRetriesPerRequest: 0 })                                                    ioredis, iovalkey
 *     sharedReplays((script, keys, values) => client.eval(script, keys.length, ...keys, ...values))
 *
 * Where it does not answer within two seconds, no request is taken.
 */
export const sharedReplays = (evaluate, most = MOST) => ({
  add: (device, nonce) => evaluate(ADD, [`pki:nonces:{${device}}`], [nonce, String(most), String(KEPT + 1)]),
});

async function judgeNonce(replays, { address }, nonce) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE} s`)), PATIENCE * 1000);
  });
  let found;
  try {
    found = await Promise.race([replays.add(address, nonce), late]);
  } catch (error) {
    console.error(`nonces cannot be kept: ${error.message || error.code}`);
  } finally {
    clearTimeout(timer);
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
  // Of a body that is late, too long or of unknown length the rest is not waited for.
  const headersOf = ({ status, headers }, { headers: asked, complete }) => {
    const isAwaited = status !== 408 && Number(asked["content-length"] ?? Infinity) <= maxBody;
    return complete || isAwaited ? headers : { ...headers, Connection: "close" };
  };
  // Something else may have answered meanwhile, by a limit on time: then nothing follows.
  const isOver = (response) => response.headersSent || response.writableEnded || response.destroyed;
  const answer = (request, response, refusal) => {
    if (!isOver(response)) response.writeHead(refusal.status, headersOf(refusal, request)).end(refusal.body);
  };
  const express = (request, response, next) => {
    const go = () => isOver(response) ? undefined : next();
    judge(request).then(go, (error) => answer(request, response, asRefusal(error)));
  };
  const plugin = async (instance) => {
    for (const name of ["device", "token"]) if (!instance.hasRequestDecorator(name)) instance.decorateRequest(name, null);
    instance.addHook("onRequest", async (request, reply) => {
      try {
        await judge(request.raw);
      } catch (error) {
        const refusal = asRefusal(error);
        if (isOver(reply.raw)) return reply.hijack();
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

// What is in the file of another host, or of a device, verifies nothing.
function demandSecrets({ version, host, epochs }, places) {
  const isThat = version === 1 && Array.isArray(epochs) && epochs.every(({ number, secret }) => Number.isInteger(number) && typeof secret === "string");
  if (!isThat) throw new TypeError("`secrets` is what is in the file of `pki hmac show HOST --out FILE`, parsed");
  if (!places.some(({ hostname }) => hostname.replace(/^\[|\]$/g, "") === host)) throw new TypeError(`these secrets are of ${host}, and not of this service`);
}

/**
 * Verifies requests. `origins`: by what clients name this service, scheme included; `maxBody`: the most octets of a body, 1 MiB where it
 * is not said; `replays`: where nonces are remembered; `secrets`: what is in the file of `pki hmac show HOST --out FILE`, for devices that
 * cannot sign and have a shared key. `close()` ends it.
 */
export function signedRequests({ origins = ORIGINS, maxBody = 1 << 20, replays = ownReplays(), secrets } = {}) {
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
      refuse("signature", `the signature is not that of this request, to ${parts["@target-uri"].split("?")[0]}, by this device`);
    }
    const digest = parts["content-digest"];
    if (digest !== undefined) {
      const read = () => received(request, maxBody, signature.expires);
      judgeDigest(hasBody(request) ? await oneOfFew(signer.device, read) : Buffer.alloc(0), digest);
    }
    await judgeNonce(replays, signer.device, signature.nonce);
    // Body and nonce may have taken long. A nonce counts only while the signature does, and who was revoked meanwhile is out.
    judgeTimes(signature);
    const { device } = accepted(devices, secrets, signature);
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
 * `claims(token, request)` verifies a token, and gives its claims. What it throws is a token that is not good; where it cannot tell,
 * because nobody gives it the keys, let it throw `new Refusal(503, "unavailable", "…")`. `device(request)` gives
 * the device that the request comes from, where it is not in `request.device`; behind a proxy that has verified the certificate,
 * `({ headers }) => ({ address: headers["x-client-device"] })`, which is too little for `strict`. Handlers find the claims in
 * `request.token`.
 */
export function boundTokens({ claims, device = (request) => request.device, strict = false }) {
  if (typeof claims !== "function") throw new TypeError("boundTokens needs `claims`, which verifies a token and gives its claims");
  const devices = followedDevices();

  /** The claims of a request's token; throws a `Refusal`. */
  async function judge(request) {
    const authorization = only(request, "authorization", () => refuseToken("there are two access tokens")) ?? "";
    const [, token] = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(authorization) ?? refuseToken("there is no access token", "");
    const from = device(request);
    if (!from?.address) throw new Error("boundTokens does not know which device a request comes from: see its `device`");
    const verified = async () => claims(token, request);
    const found = await verified().catch((error) => {
      if (error instanceof Refusal) throw error;
      // Also a fault of `claims` itself comes so.
      console.error(`a token is not good: ${error.message}`);
      return refuseToken("the token is not good");
    });
    const thumbprint = found?.cnf?.["x5t#S256"];
    if (typeof thumbprint !== "string") refuseToken("the token is bound to no device");
    if (strict && thumbprint !== from["x5t#S256"]) refuseToken("the token was issued to another certificate");
    const owner = devices.find(thumbprint) ?? refuseToken("the token was issued to a certificate that is not accepted any more");
    if (owner.address !== from.address) refuseToken("the token was issued to another device");
    request.token = found;
    return found;
  }
  return { verify: judge, ...forms(judge, Infinity), close: devices.end };
}
