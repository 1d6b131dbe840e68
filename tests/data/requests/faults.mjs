// What goes wrong around signed requests: slow clients, stores that do not answer, applications that are put together wrongly, and
// publications that are not whole. `node faults.mjs ORIGIN`, beside requests.mjs for the lists in `lists`. Prints a line for each.

import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import express from "express";
import fastify from "fastify";
import { fromPem, signatureHeaders } from "./sign-requests.mjs";

const [origin] = process.argv.slice(2);
const file = (name) => fs.readFileSync(name, "utf8");
const device = await fromPem(file("alice.crt"), file("alice.key"));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const octets = (text) => new TextEncoder().encode(text);
console.error = () => {};   // where the application is told what is wrong
console.log = ((log) => (...said) => said[0] === "publication read" || log(...said))(console.log);

// The lists of a publication, with a manifest over them.
const whole = { devices: JSON.parse(file("home/server/devices.json")).devices, revoked: "" };
const until = new Date(Date.now() + 86400000).toISOString();
function publish({ devices = whole.devices, revoked = whole.revoked, late = [], ends = until }) {
  const files = { "devices.json": JSON.stringify({ version: 1, devices }), "revoked.map": revoked };
  const listed = ([name, text]) => [name, { sha256: crypto.createHash("sha256").update(text).digest("hex") }];
  fs.mkdirSync("lists", { recursive: true });
  for (const [name, text] of Object.entries(files)) if (!late.includes(name)) fs.writeFileSync(`lists/${name}`, text);
  const manifest = { valid_until: ends, files: Object.fromEntries(Object.entries(files).map(listed)) };
  fs.writeFileSync("lists/manifest.json", JSON.stringify({ ...manifest, number: crypto.randomUUID() }));
  return () => late.forEach((name) => fs.writeFileSync(`lists/${name}`, files[name]));
}
publish({});
const { boundTokens, ownReplays, signedRequests } = await import("./requests.mjs");

const signed = (options = {}) => signedRequests({ origins: [origin], ...options });
const listen = (handler) => new Promise((resolve) => {
  const server = http.createServer(handler).listen(0, () => resolve([server.address().port, server]));
});
const sign = (body) => signatureHeaders(device, { method: body === undefined ? "GET" : "POST", url: `${origin}/`, body: body && octets(body) });
async function ask(port, headers, body, path = "/") {
  const response = await fetch(`http://localhost:${port}${path}`, { method: body === undefined ? "GET" : "POST", headers, body });
  const text = await response.text();
  return `${response.status} ${response.ok ? text : JSON.parse(text).code}`;
}
// A connection on which octets are written by hand: what came back.
function connect(port, text) {
  const socket = net.connect(port, "localhost");
  const came = [];
  socket.on("data", (chunk) => came.push(chunk)).on("error", () => {});
  socket.write(text);
  return { socket, came: () => Buffer.concat(came).toString().split("\r\n")[0] };
}
const head = (headers, more) => ["POST / HTTP/1.1", "Host: h", ...Object.entries({ ...headers, ...more }).map(([name, value]) => `${name}: ${value}`), "", ""].join("\r\n");

let ran = 0;
const handle = (request, response) => {
  ran += 1;
  response.end(request.device.address);
};
const say = (what, ...said) => {
  console.log(`${what}: ${said.join(", ")}; the handler ran ${ran} times`);
  ran = 0;
};

// Something before it has answered, by a limit on time.
{
  const verify = signed().express;
  const app = express();
  app.use((request, response, next) => {
    setTimeout(() => response.headersSent || response.status(503).end("late"), 200);
    next();
  });
  app.use(verify, handle);
  const [port, server] = await listen(app);
  const headers = await sign("{}");
  const wrong = connect(port, `${head(headers, { "Content-Length": 2 })}{`);
  const right = connect(port, `${head(await sign("{}"), { "Content-Length": 2 })}{`);
  await sleep(500);
  wrong.socket.write("]");
  right.socket.write("}");
  await sleep(200);
  say("answered before", wrong.came(), right.came(), await ask(port, await sign()));
  server.closeAllConnections();
}

// A body that something has read before: what was signed is another one.
{
  const app = express().use(express.json(), signed().express, handle);
  const [port, server] = await listen(app);
  say("a body that was read", await ask(port, { ...await sign("{}"), "Content-Type": "application/json" }, "{}"));
  server.closeAllConnections();
}

// A place for nonces that does not answer, and one that answers once the signature has expired.
{
  const never = signed({ replays: { add: () => new Promise(() => {}) } });
  const [port, server] = await listen(never.handler(handle));
  say("no answer", await ask(port, await sign()));
  const late = signed({ replays: { add: () => sleep(1500).then(() => "new") } });
  const [other, second] = await listen(late.handler(handle));
  const now = Date.now() - 59000;
  say("a late answer", await ask(other, await signatureHeaders(device, { method: "GET", url: `${origin}/`, now })));
  server.closeAllConnections();
  second.closeAllConnections();
}

// A handler that writes to what the lists say of a device.
{
  const [port, server] = await listen(signed().handler((request, response) => {
    try {
      request.device.address = "bob/phone";
    } catch (error) {
      response.end(error.constructor.name);
    }
  }));
  say("a device that is changed", await ask(port, await sign()));
  server.closeAllConnections();
}

// A body in chunks of one octet, and more bodies at once than one device may send.
{
  const [port, server] = await listen(signed().handler((request, response) => {
    let length = 0;
    request.on("data", (chunk) => { length += chunk.length; }).on("end", () => response.end(`${length}`));
  }));
  const body = "x".repeat(30000);
  const small = connect(port, head(await sign(body), { "Transfer-Encoding": "chunked", Connection: "close" }) + "1\r\nx\r\n".repeat(30000) + "0\r\n\r\n");
  await new Promise((resolve) => small.socket.on("close", resolve));
  const many = [];
  for (let count = 0; count < 33; count += 1) many.push(connect(port, `${head(await sign("{}"), { "Content-Length": 2 })}{`));
  await sleep(300);
  const refused = many.filter(({ came }) => came() === "HTTP/1.1 429 Too Many Requests").length;
  many.forEach(({ socket }) => socket.destroy());
  await sleep(100);
  say("small chunks", small.came());
  say("bodies at once", `${refused} of 33 refused`, await ask(port, await sign("{}"), "{}"));
  // What somebody has heard on its way, again and again.
  const heard = head(await sign("{}"), { "Content-Length": 2 });
  const again = [];
  for (let count = 0; count < 33; count += 1) again.push(connect(port, `${heard}{`));
  await sleep(300);
  const repeated = again.filter(({ came }) => came() === "HTTP/1.1 401 Unauthorized").length;
  say("one head again and again", `${repeated} of 33 refused`, await ask(port, await sign("{}"), "{}"));
  again.forEach(({ socket }) => socket.destroy());
  server.closeAllConnections();
}

// Clients that have gone before their bodies are asked for keep nobody else from sending one.
{
  const app = express();
  app.use((request, response, next) => { setTimeout(next, request.headers.late ? 300 : 0); });
  app.use(signed().express, handle);
  const [port, server] = await listen(app);
  for (const kind of ["Content-Length: 2", "Transfer-Encoding: chunked"]) {
    const [name, value] = kind.split(": ");
    const gone = [];
    for (let count = 0; count < 33; count += 1) gone.push(connect(port, head(await sign("{}"), { [name]: value, Late: "1" })));
    await sleep(100);
    gone.forEach(({ socket }) => socket.destroy());
    await sleep(500);
    say(`clients that have gone, ${name}`, await ask(port, await sign("{}"), "{}"));
  }
  server.closeAllConnections();
}

// Two verifiers in one process, and one that was closed.
{
  const [one, other] = [signed(), signed()];
  const [first, server] = await listen(one.handler(handle));
  const [second, another] = await listen(other.handler(handle));
  const headers = await sign();
  say("two verifiers", await ask(first, headers), await ask(second, headers));
  one.close();
  say("one that was closed", await ask(first, await sign()), await ask(second, await sign()));
  server.closeAllConnections();
  another.closeAllConnections();
}

// A place for nonces that fails with nothing.
{
  const [port, server] = await listen(signed({ replays: { add: () => Promise.reject(null) } }).handler(handle));
  say("a failure that says nothing", await ask(port, await sign()));
  server.closeAllConnections();
}

// Who has a shared key shows no certificate: a token of one is not strictly its own.
{
  const [secret, { hostname }] = [crypto.randomBytes(32), new URL(origin)];
  publish({ devices: whole.devices.map((one) => ({ ...one, first: one.serial })) });
  const { serial, "x5t#S256": thumbprint } = whole.devices.find(({ address }) => address === "alice/phone");
  const key = crypto.hkdfSync("sha256", secret, "1", `pki/v1/http-hmac/alice/phone${serial}`, 32);
  const sharedKey = { keyid: "alice/phone/1", key: Buffer.from(key).toString("base64") };
  const verify = signed({ secrets: { version: 1, host: hostname, epochs: [{ number: 1, until: null, secret: secret.toString("base64") }] } });
  const claims = () => ({ cnf: { "x5t#S256": thumbprint } });
  await sleep(1500);
  const said = [];
  for (const strict of [false, true]) {
    const [port, server] = await listen(express().use(verify.express, boundTokens({ claims, strict }).express, handle));
    const authorization = "Bearer word";
    const headers = await signatureHeaders({ sharedKey }, { method: "GET", url: `${origin}/`, authorization });
    said.push(await ask(port, { ...headers, authorization }));
    server.closeAllConnections();
  }
  say("a shared key and a token", ...said);
  // A body that comes once the device was lost, and its name is another one's.
  const [port, server] = await listen(verify.handler(handle));
  const begin = async () => {
    const headers = await signatureHeaders({ sharedKey }, { method: "POST", url: `${origin}/`, body: octets("{}") });
    return connect(port, `${head(headers, { "Content-Length": 2 })}{`);
  };
  const kept = await begin();
  await sleep(200);
  kept.socket.write("}");
  await sleep(200);
  const late = await begin();
  await sleep(200);
  publish({ devices: whole.devices.map((one) => ({ ...one, first: "0A" })) });
  await sleep(1500);
  late.socket.write("}");
  await sleep(200);
  say("a body behind a loss", kept.came(), late.came());
  server.closeAllConnections();
  publish({});
  await sleep(1500);
}

// A million nonces of one device: it has its share, and the others have theirs.
{
  const replays = ownReplays();
  const begun = performance.now();
  const count = { new: 0, full: 0, seen: 0 };
  for (let sent = 0; sent < 1_000_000; sent += 1) count[replays.add("alice/phone", `nonce-number-${sent}`)] += 1;
  const isQuick = performance.now() - begun < 5000;
  say("a million nonces", count.new, count.full, replays.add("bob/phone", "one"), replays.add("alice/phone", "nonce-number-0"), isQuick);
}

// Lists that come apart, in any order; that have ended; with a key that is none.
{
  const [port, server] = await listen(signed().handler(handle));
  const { serial } = whole.devices.find(({ address }) => address === "alice/phone");
  const others = whole.devices.filter((one) => one.serial !== serial);
  const come = publish({ devices: others, revoked: `${serial} 1;\n`, late: ["revoked.map"] });
  await sleep(1500);
  come();
  await sleep(1500);
  say("a list that came late", await ask(port, await sign()));
  publish({ revoked: `${serial} 1;\n` });
  await sleep(1500);
  say("a revoked one that is listed", await ask(port, await sign()));
  publish({ ends: new Date(Date.now() - 1000).toISOString() });
  await sleep(1500);
  say("lists that have ended", await ask(port, await sign()));
  publish({ devices: [...others, { ...whole.devices.find((one) => one.serial === serial), spki: "AAAA" }] });
  await sleep(1500);
  say("a key that is none", await ask(port, await sign()));
  publish({});
  await sleep(1500);
  say("whole again", await ask(port, await sign()));
  server.closeAllConnections();
}

// Fastify, behind something that has answered.
{
  const app = fastify();
  app.addHook("onRequest", async (request, reply) => { setTimeout(() => reply.raw.headersSent || reply.raw.writeHead(503).end("late"), 100); });
  await app.register(signed({ replays: { add: () => sleep(400).then(() => "new") } }).fastify);
  app.get("/", async (request) => { ran += 1; return request.device.address; });
  await app.listen({ port: 0 });
  const late = await fetch(`http://localhost:${app.server.address().port}/`, { headers: await sign() });
  await sleep(600);
  say("Fastify, answered before", late.status);
}

try {
  boundTokens({});
} catch (error) {
  console.log(`no claims: ${error.constructor.name}`);
}
process.exit();
