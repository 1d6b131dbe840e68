// Every request that a server which demands signatures must take, and that it must refuse: node cases.mjs PORT ORIGIN. Prints each whose
// answer is another than the one beside it, and how many there were. Signs by itself, and by nothing that is under test.

import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";

const [port, origin] = process.argv.slice(2);
const pem = (name) => fs.readFileSync(name, "utf8");
const hash = (certificate) => new crypto.X509Certificate(certificate).raw;
const keyid = (name) => crypto.createHash("sha256").update(hash(pem(name))).digest("base64url");
const sha = (body, bits = 256) => `sha-${bits}=:${crypto.createHash(`sha${bits}`).update(body).digest("base64")}:`;
const chunk = (octets) => octets === "" ? "" : `${Buffer.byteLength(octets).toString(16)}\r\n${octets}\r\n`;
const nonce = () => crypto.randomBytes(16).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);

// The octets of a request. What a case does not say is as it should be. `sent` is what is altered after the signing.
function request(given) {
  const {
    method = "GET", path = "/orders?open=1", body, authorization, label = "pki", key = "alice.key", encoding = "ieee-p1363",
    components, parameters = (list) => list, base: altered = (text) => text, header = (text) => text, more = [], chunked = false, at = origin,
  } = given;
  const digest = given.digest ?? (body === undefined ? undefined : sha(body));
  const values = {
    "@method": method, "@authority": new URL(at).host, "@target-uri": at + path, "content-digest": digest, authorization,
    "@path": path.split("?")[0], host: new URL(at).host, date: "x",
  };
  const present = ["@method", "@authority", "@target-uri", "content-digest", "authorization"].filter((name) => values[name] !== undefined);
  const covered = components ?? present;
  const created = now() + (given.created ?? 0);
  const list = parameters([
    ["created", created], ["expires", created + (given.life ?? 60)], ["nonce", `"${given.nonce ?? nonce()}"`],
    ["keyid", `"${given.keyid ?? keyid("alice.crt")}"`], ["alg", '"ecdsa-p256-sha256"'], ["tag", '"pki-v1"'],
  ]);
  const inner = `(${covered.map((name) => `"${name}"`).join(" ")})${list.map(([name, value]) => `;${name}=${value}`).join("")}`;
  const base = altered(covered.map((name) => `"${name}": ${values[name]}\n`).join("") + `"@signature-params": ${inner}`);
  const signature = given.signature ?? crypto.sign("sha256", Buffer.from(base), { key: pem(key), dsaEncoding: encoding }).toString("base64");
  const headers = [
    ["Host", given.host ?? new URL(at).host], ["Connection", "close"],
    ...digest === undefined ? [] : [["Content-Digest", digest]], ...authorization === undefined ? [] : [["Authorization", authorization]],
    ["Signature-Input", `${label}=${inner}`], ["Signature", `${label}=:${signature}:`], ...more,
  ];
  const sent = { method, path, headers, body, ...given.sent };
  const length = sent.body === undefined ? [] : chunked ? [["Transfer-Encoding", "chunked"]] : [["Content-Length", Buffer.byteLength(sent.body)]];
  const head = [`${sent.method} ${sent.path} HTTP/1.1`, ...[...sent.headers, ...length].map(([name, value]) => `${name}: ${value}`), "", ""];
  const whole = sent.body === undefined ? "" : chunked ? `${chunk(sent.body)}0\r\n\r\n` : sent.body;
  return header(head.join("\r\n")) + whole;
}

// What a server answers to these octets: 200 and the body that it has read, or the status and the word for why.
const ask = (octets, slowly) => new Promise((resolve, reject) => {
  const chunks = [];
  const socket = net.connect(Number(port), "localhost", async () => {
    // The head alone, then the first octets of the body, then the rest.
    const head = octets.indexOf("\r\n\r\n") + 4;
    for (const part of slowly ? [octets.slice(0, head), octets.slice(head, head + 2), octets.slice(head + 2)] : [octets]) {
      socket.write(part);
      await new Promise((done) => setTimeout(done, slowly));
    }
  });
  socket.setNoDelay(true);
  socket.setTimeout(15000, () => socket.destroy(new Error("no answer")));
  socket.on("data", (chunk) => chunks.push(chunk)).on("error", reject).on("close", () => {
    const text = Buffer.concat(chunks).toString();
    const status = Number(text.split(" ")[1]);
    const json = JSON.parse(/\{.*\}/s.exec(text)?.[0] ?? "null");
    if (status !== 200) return resolve(`${status} ${json?.code ?? ""}`.trim());
    if (json.device !== "alice/phone" || json.header !== json.device) return resolve(`200 for ${json.device} (${json.header})`);
    return resolve(json.body === "" ? "200" : `200 ${json.body}`);
  });
});

const without = (name) => (list) => list.filter(([of]) => of !== name);
const changed = (name, value) => (list) => list.map(([of, was]) => [of, of === name ? value : was]);
const added = (name, value) => (list) => [...list, [name, value]];
const all = ["@method", "@authority", "@target-uri"];
const big = "x".repeat(60000);
const again = request({});
const twice = `"${nonce()}"`;
const header = (from, to) => ({ header: (text) => {
  if (!text.includes(from)) throw new Error(`no ${from} in ${text}`);
  return text.replace(from, to);
} });

const CASES = [
  ["as it should be", {}, "200"],
  ["a body", { method: "POST", body: "{}" }, "200 {}"],
  ["a long body", { method: "PUT", body: big }, `200 ${big}`],
  ["a body in chunks", { method: "POST", body: "abc", chunked: true }, "200 abc"],
  ["no octet in chunks", { method: "POST", body: "", chunked: true }, "200"],
  ["a body that is slow", { method: "POST", body: "abcdef", slowly: 50 }, "200 abcdef"],
  ["a body in chunks that is slow", { method: "POST", body: "abc", chunked: true, slowly: 50 }, "200 abc"],
  ["no octet in chunks that is slow", { method: "POST", body: "", chunked: true, slowly: 50 }, "200"],
  ["a body that is there after the signature", { method: "POST", body: "abcdef", life: 1, slowly: 900 }, "408 slow"],
  ["no octet", { method: "POST", body: "" }, "200"],
  ["a token", { authorization: "Bearer word" }, "200"],
  ["a body and a token", { method: "PATCH", body: "{}", authorization: "Bearer word" }, "200 {}"],
  ["components in another order", { components: [...all].reverse() }, "200"],
  ["parameters in another order", { parameters: (list) => [...list].reverse() }, "200"],
  ["another label", { label: "sig-1.x*" }, "200"],
  ["another signature beside it", { ...header("Signature-Input: ", 'Signature-Input: proxy=("@method");created=1;tag="other", ') }, "200"],
  ["another signature in a line of its own", { more: [["Signature-Input", 'proxy=();tag="other"'], ["Signature", "proxy=:AA==:"]] }, "200"],
  ["SHA-512 alone", { method: "POST", body: "{}", digest: sha("{}", 512) }, "200 {}"],
  ["both digests", { method: "POST", body: "{}", digest: `${sha("{}")}, ${sha("{}", 512)}` }, "200 {}"],
  ["a nonce in base64", { nonce: crypto.randomBytes(16).toString("base64") }, "200"],
  ["a clock that is 29 seconds ahead", { created: 29 }, "200"],
  ["a clock that is 58 seconds behind", { created: -58 }, "200"],
  ["a forged name of a device", { more: [["X-Client-Device", "bob/phone"], ["x_client_device", "bob/phone"]] }, "200"],
  ["where it comes from, as somebody claims", { more: [["X-Forwarded-Host", "evil.example"], ["X-Forwarded-Proto", "ftp"]] }, "200"],

  ["no signature", { sent: { headers: [["Host", "h"], ["Connection", "close"]] } }, "401 unsigned"],
  ["no Signature", { header: (text) => text.replace(/Signature: .*\r\n/, "") }, "401 unsigned"],
  ["no Signature-Input", { header: (text) => text.replace(/Signature-Input: .*\r\n/, "") }, "401 unsigned"],
  ["another tag", { parameters: changed("tag", '"pki-v2"') }, "401 unsigned"],
  ["no tag", { parameters: without("tag") }, "401 unsigned"],
  ["the same octets again", () => again, "200"],
  ["the same octets a third time", () => again, "401 replayed"],
  ["a nonce", { parameters: changed("nonce", twice) }, "200"],
  ["the nonce of another request", { path: "/orders?other", parameters: changed("nonce", twice) }, "401 replayed"],
  ["a clock that is 32 seconds ahead", { created: 32 }, "401 clock"],
  ["a clock that is 62 seconds behind", { created: -62 }, "401 clock"],
  ["what has expired", { created: -20, life: 10 }, "401 clock"],
  ["what lasts too long", { life: 61 }, "401 malformed"],
  ["what has expired before it began", { life: -1 }, "401 malformed"],
  ["a key that nobody knows", { keyid: crypto.randomBytes(32).toString("base64url") }, "401 device"],
  ["a device that is revoked", { keyid: keyid("carol.crt"), key: "carol.key" }, "401 device"],
  ["a certificate of a server of ours", { keyid: keyid("server.crt"), key: "server.key" }, "401 device"],
  ["another device's name by one's own key", { keyid: keyid("alice.crt"), key: "bob.key" }, "401 signature"],
  ["a signature in DER", { encoding: "der" }, "401 malformed"],
  ["a signature that is cut", { signature: "AAAA" }, "401 malformed"],
  ["a signature of nothing", { signature: `${"A".repeat(86)}==` }, "401 signature"],
  ["another method", { sent: { method: "DELETE" } }, "401 signature"],
  ["another query", { sent: { path: "/orders?open=2" } }, "401 signature"],
  ["more of a query", { sent: { path: "/orders?open=1&all" } }, "401 signature"],
  ["a slash that is encoded", { path: "/orders/a%2Fb" }, "200"],
  ["a slash that was encoded", { path: "/orders/a%2Fb", sent: { path: "/orders/a/b" } }, "401 signature"],
  ["a slash that becomes encoded", { path: "/orders/a/b", sent: { path: "/orders/a%2Fb" } }, "401 signature"],
  ["another case of an encoded octet", { path: "/orders/a%2Fb", sent: { path: "/orders/a%2fb" } }, "401 signature"],
  ["two slashes", { path: "/orders/a", sent: { path: "/orders//a" } }, "401 signature"],
  ["signed for another host", { at: "https://other.acme.example" }, "401 signature"],
  ["signed for another scheme", { base: (text) => text.replace(/"@target-uri": \w+/, '"@target-uri": ftp') }, "401 signature"],
  ["another body", { method: "POST", body: "{}", sent: { body: "[]" } }, "401 digest"],
  ["a longer body", { method: "POST", body: "{}", sent: { body: "{}}" } }, "401 digest"],
  ["no body in the place of one", { method: "POST", body: "{}", sent: { body: undefined } }, "401 digest"],
  ["a body where there was none", { method: "POST", sent: { body: "{}" } }, "401 components"],
  ["a body in chunks where there was none", { method: "POST", chunked: true, sent: { body: "{}" } }, "401 components"],
  ["another digest", { method: "POST", body: "{}", ...header("sha-256=:", "sha-256=:A") }, "401 signature"],
  ["a digest that nobody knows alone", { method: "POST", body: "{}", digest: "md5=:AAAA:" }, "401 digest"],
  ["a good digest and a bad one", { method: "POST", body: "{}", digest: `${sha("{}")}, ${sha("[]", 512)}` }, "401 digest"],
  ["a digest twice", { method: "POST", body: "{}", more: [["Content-Digest", sha("{}")]] }, "401 malformed"],
  ["a body longer than any", { method: "POST", body: "x".repeat(1 << 17) }, "413 too-large"],
  ["a body in chunks longer than any", { method: "POST", body: "x".repeat(1 << 17), chunked: true }, "413 too-large"],
  ["another token", { authorization: "Bearer word", ...header("Bearer word", "Bearer ward") }, "401 signature"],
  ["a token that was not signed", { more: [["Authorization", "Bearer word"]] }, "401 components"],
  ["a token that is gone", { authorization: "Bearer word", header: (text) => text.replace(/Authorization: .*\r\n/, "") }, "401 components"],
  ["two tokens", { authorization: "Bearer word", more: [["authorization", "Bearer ward"]] }, "401 malformed"],
  ["a component less", { components: ["@method", "@authority"] }, "401 components"],
  ["a component more", { components: [...all, "@path"] }, "401 components"],
  ["a header more", { components: [...all, "host"] }, "401 components"],
  ["a header more that is not there", { components: [...all, "date"] }, "401 components"],
  ["a component twice", { components: [...all, "@method"] }, "401 components"],
  ["a component twice in the place of another", { components: ["@method", "@authority", "@method"] }, "401 components"],
  ["a component of the prototype", { components: [...all, "constructor"] }, "401 components"],
  ["a component of the prototype in the place of another", { components: ["@method", "@authority", "constructor"] }, "401 components"],
  ["no component", { components: [] }, "401 malformed"],
  ["a component with a parameter", { ...header('"@method"', '"@method";req') }, "401 malformed"],
  ["a digest that is not signed", { method: "POST", body: "{}", components: all }, "401 components"],
  ...["created", "expires", "nonce", "keyid", "alg"].map((name) => [`no ${name}`, { parameters: without(name) }, "401 malformed"]),
  ["created twice", { parameters: added("created", now()) }, "401 malformed"],
  ["a parameter more", { parameters: added("more", 1) }, "401 malformed"],
  ["created as text", { parameters: changed("created", `"${now()}"`) }, "401 malformed"],
  ["created with a fraction", { parameters: changed("created", `${now()}.5`) }, "401 malformed"],
  ["created before time began", { parameters: changed("created", -1) }, "401 malformed"],
  ["expires without end", { parameters: changed("expires", "9".repeat(15)) }, "401 malformed"],
  ["a key as a number", { parameters: changed("keyid", 7) }, "401 malformed"],
  ["a key of the prototype", { keyid: "constructor" }, "401 malformed"],
  ["a short nonce", { nonce: "AAAA" }, "401 malformed"],
  ["a long nonce", { nonce: "A".repeat(44) }, "401 malformed"],
  ["no algorithm", { parameters: changed("alg", '"none"') }, "401 malformed"],
  ["an algorithm with a shared key", { parameters: changed("alg", '"hmac-sha256"') }, "401 malformed"],
  ["another algorithm", { parameters: changed("alg", '"ecdsa-p384-sha384"') }, "401 malformed"],
  ["two signatures of ours", { ...header("Signature-Input: ", 'Signature-Input: sig=("@method");tag="pki-v1", ') }, "401 malformed"],
  ["two signatures of ours in two lines", { more: [["Signature-Input", 'sig=();tag="pki-v1"']] }, "401 malformed"],
  ["a label twice", { ...header("Signature-Input: ", 'Signature-Input: pki=("@method");tag="other", ') }, "401 malformed"],
  ["a signature twice", { more: [["Signature", `pki=:${"A".repeat(86)}==:`]] }, "401 malformed"],
  ["a signature of another label", { ...header("Signature: pki", "Signature: sig") }, "401 malformed"],
  ["a space that does not belong there", { ...header('"@method" ', '"@method"  ') }, "401 malformed"],
  ["an escaped character", { ...header("Signature-Input: ", 'Signature-Input: x=();a="\\"", ') }, "401 malformed"],
  ["a long Signature-Input", { more: [["Signature-Input", `x=();a="${"x".repeat(2048)}"`]] }, "401 malformed"],
  ["quotation marks", { more: [["Signature-Input", '"'.repeat(999)]] }, "401 malformed"],
  ["a whole URL as the target", { sent: { path: `${origin}/orders?open=1` } }, "401 malformed"],
];

let wrong = 0;
for (const [name, given, right] of CASES) {
  const got = await ask(typeof given === "function" ? given() : request(given), given.slowly);
  if (got === right) continue;
  wrong += 1;
  console.log(`${name}: ${got.slice(0, 80)}, and not ${right.slice(0, 80)}`);
}
console.log(`${CASES.length} requests, ${wrong} with another answer`);
