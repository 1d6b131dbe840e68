// The body: it is read once for its digest, and then as if for the first time.

// So many bodies of one device are read at a time: each may be as long as any. They are known by the nonces of their requests: whoever
// has heard one request cannot fill the device's share by sending it again and again.
const BODIES = 32;
const bodies = new Map();
async function oneOfFew({ address }, nonce, read) {
  const own = bodies.get(address) ?? new Set();
  if (own.has(nonce)) refuse("replayed", "this request came before");
  if (own.size >= BODIES) refuseFor(1, 429, "busy", "this device sends too many bodies at once: wait");
  bodies.set(address, own.add(nonce));
  try {
    return await read();
  } finally {
    own.delete(nonce);
    if (own.size === 0) bodies.delete(address);
  }
}

const wasCut = () => new Refusal(400, "cut", "the request was cut off");
const isTooLong = (most) => new Refusal(413, "too-large", `the body is longer than ${most} octets`);

// The body as it was received, and the request as if nobody had read it yet: what reads it next finds all of it. What has not come when
// the signature expires is not waited for: the nonce would be forgotten before it is judged.
async function received(request, most, expires) {
  if (request.readableDidRead || request.readableEnded) throw new Error("a body was read before its signature: put signedRequests first");
  if (Number(request.headers["content-length"] ?? 0) > most) throw isTooLong(most);
  const demandWhole = () => {
    if (request.destroyed) throw wasCut();
  };
  demandWhole();
  // Of chunks that end as soon as they begin, whoever listens in the same turn of the loop would hear the end, and nobody after that.
  if (request.headers["transfer-encoding"] !== undefined) await new Promise(setImmediate);
  demandWhole();
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
    const cut = () => done(reject, wasCut());
    const slow = () => done(reject, new Refusal(408, "slow", "the signature expired before the body was there"));
    const read = () => {
      // No further than what is there: a read beyond it would end the stream for whoever comes next.
      while (request.readableLength > 0) {
        const chunk = request.read();
        if (length + chunk.length > most) return done(reject, isTooLong(most));
        keep(chunk);
      }
      if (!request.complete) return undefined;
      // Where both are due, the time decides, and not which of the two the loop comes to first.
      if (Date.now() > expires * 1000) return slow();
      body = body.subarray(0, length);
      if (length > 0) request.unshift(body);
      return done(resolve, body);
    };
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
