// Replays: which requests came already, by their nonces.

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

// What is not told where nonces are remembered remembers them here: all of an application in one place, or it would take a request once
// for each of its verifiers.
const OWN_REPLAYS = ownReplays();

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
    console.error(`nonces cannot be kept: ${error?.message || error?.code || error}`);
  } finally {
    clearTimeout(timer);
  }
  if (found === "seen") refuse("replayed", "this request came before");
  if (found === "full") refuseFor(KEPT, 429, "busy", "this device has sent too many requests: wait");
  if (found !== "new") refuseFor(5, 503, "unavailable", "requests cannot be taken now");
}
