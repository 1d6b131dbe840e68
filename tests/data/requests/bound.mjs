// Every token that boundTokens must take and refuse, by each framework: node bound.mjs. A token is its claims in base64url here, and the
// device what a proxy says. Prints each whose answer is another than the one beside it, and how many there were.

import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import express from "express";
import fastify from "fastify";
import { boundTokens } from "./requests.mjs";

const thumbprint = (name) => crypto.createHash("sha256").update(new crypto.X509Certificate(fs.readFileSync(`${name}.crt`)).raw).digest("base64url");
const claims = (token) => JSON.parse(Buffer.from(token, "base64url").toString());
const token = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const bearer = (value) => ["Authorization", `Bearer ${token(value)}`];
const of = (name) => ({ sub: "somebody", cnf: { "x5t#S256": thumbprint(name) } });
const from = (address) => ["X-Client-Device", address];
const proxied = ({ headers }) => headers["x-client-device"] && { address: headers["x-client-device"], "x5t#S256": headers["x-thumbprint"] };

const CASES = [
  ["its own", [bearer(of("alice")), from("alice/phone")], "200 somebody"],
  ["its own, in small letters", [["authorization", `bearer ${token(of("alice"))}`], from("alice/phone")], "200 somebody"],
  ["another's", [bearer(of("alice")), from("bob/phone")], "401 the token was issued to another device"],
  ["a revoked one's", [bearer(of("carol")), from("carol/phone")], "401 the token was issued to a certificate that is not accepted any more"],
  ["a server's", [bearer(of("server")), from("alice/phone")], "401 the token was issued to a certificate that is not accepted any more"],
  ["nobody's", [bearer({ sub: "somebody" }), from("alice/phone")], "401 the token is bound to no device"],
  ["one bound by something else", [bearer({ cnf: { jkt: thumbprint("alice") } }), from("alice/phone")], "401 the token is bound to no device"],
  ["one of the prototype", [bearer({ cnf: { "x5t#S256": ["constructor"] } }), from("alice/phone")], "401 the token is bound to no device"],
  ["a bad one", [bearer("{"), from("alice/phone")], "401 the token is not good"],
  ["null", [bearer("null"), from("alice/phone")], "401 the token is bound to no device"],
  ["none", [from("alice/phone")], "401 there is no access token"],
  ["a password", [["Authorization", "Basic YTpi"], from("alice/phone")], "401 there is no access token"],
  ["two", [bearer(of("alice")), bearer(of("bob")), from("alice/phone")], "401 there are two access tokens"],
  ["from nobody", [bearer(of("alice"))], "500 the request could not be verified"],
  ["its own, strictly", [bearer(of("alice")), from("alice/phone"), ["X-Thumbprint", thumbprint("alice")]], "200 somebody", true],
  ["another's, strictly", [bearer(of("alice")), from("alice/phone"), ["X-Thumbprint", thumbprint("bob")]], "401 the token was issued to another certificate", true],
  ["its own, strictly, without a certificate", [bearer(of("alice")), from("alice/phone")], "401 the token was issued to another certificate", true],
];

const ask = (port, headers) => new Promise((resolve, reject) => {
  http.get({ host: "localhost", port, path: "/", headers: [["Host", "localhost"], ...headers].flat(), agent: false }, (response) => {
    let text = "";
    response.on("data", (part) => { text += part; }).on("end", () => {
      const isProblem = response.headers["content-type"]?.startsWith("application/problem+json");
      const isChallenged = response.statusCode !== 401 || "www-authenticate" in response.headers;
      resolve(`${response.statusCode} ${isProblem ? JSON.parse(text).detail : text}${isChallenged ? "" : " without a challenge"}`);
    });
  }).on("error", reject);
});

let wrong = 0;
let asked = 0;
console.error = () => {};   // what cannot be verified is told there
for (const strict of [false, true]) {
  const bound = boundTokens({ claims, device: proxied, strict });
  const listening = (server) => new Promise((resolve) => server.listen(0, () => resolve(server.address().port)));
  const app = fastify();
  await app.register(bound.fastify);
  app.get("/", async (request) => request.token.sub);
  await app.listen({ port: 0 });
  const plain = http.createServer(bound.handler((request, response) => response.end(request.token.sub)));
  const routed = http.createServer(express().use(bound.express, (request, response) => response.end(request.token.sub)));
  for (const port of [await listening(plain), await listening(routed), app.server.address().port]) {
    for (const [name, headers, right, demands = false] of CASES) {
      if (demands !== strict) continue;
      const got = await ask(port, headers);
      asked += 1;
      wrong += got === right ? 0 : 1;
      if (got !== right) console.log(`${name}: ${got}, and not ${right}`);
    }
  }
}
console.log(`${asked} requests, ${wrong} with another answer`);
process.exit();
