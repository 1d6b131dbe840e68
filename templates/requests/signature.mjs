// The signature: what a request says of it, and what it must cover.

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
