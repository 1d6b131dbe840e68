// An API that takes tokens bound to devices, on a server that demands certificates: node tokens.mjs ISSUER PORT AUDIENCE loose|strict.

import { createLocalJWKSet, jwtVerify } from "jose";
import https from "node:https";
import fs from "node:fs";
import { deviceServer } from "./server.mjs";
import { boundTokens } from "./requests.mjs";

const [issuer, port, audience, how] = process.argv.slice(2);
// The keys of the authorization server, which demands a certificate of whoever asks for them, too.
const keys = await new Promise((resolve, reject) => {
  const file = (name) => fs.readFileSync(name);
  https.get(`${issuer}/jwks`, { ca: file("ca.crt"), cert: file("bob.crt"), key: file("bob.key"), lookup: (_, { all }, done) => all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4) }, (response) => {
    let text = "";
    response.on("data", (part) => { text += part; }).on("end", () => resolve(createLocalJWKSet(JSON.parse(text))));
  }).on("error", reject);
});
const bound = boundTokens({
  claims: async (token) => (await jwtVerify(token, keys, { issuer, audience, algorithms: ["ES256"] })).payload,
  strict: how === "strict",
});
deviceServer(bound.handler((request, response) => response.end(`${request.device.address} as ${request.token.client_id}`)))
  .listen(Number(port), () => console.log("listening"));
