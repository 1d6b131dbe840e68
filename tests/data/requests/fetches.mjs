// Sends requests by the signer for fetch, to an API under its own name: node fetches.mjs ORIGIN.

import fs from "node:fs";
import { fromPem, signingFetch } from "./sign-requests.mjs";

const [origin] = process.argv.slice(2);
const file = (name) => fs.readFileSync(name, "utf8");
const { key, certificate } = await fromPem(file("alice.crt"), file("alice.key"));
const fetch = signingFetch({ key, certificate }, { origins: [origin] });
const say = async (input, init) => {
  const response = await fetch(input, init);
  console.log(response.status, (await response.text()).trim());
};
await say(`${origin}/a%2Fb?c=%20d&e#part`);
await say(`${origin}/orders`, { method: "POST", body: "{}", headers: { authorization: "Bearer word" } });
await say(new Request(`${origin}/orders`, { method: "PUT", body: new Uint8Array([97, 98]) }));
await say(new URL(`${origin}/orders`), { method: "DELETE" });
// What is handed on: signed to the API, and as it came to anybody else.
const handed = async (url, { headers, redirect } = {}) => Response.json([url, redirect ?? "none", Object.fromEntries(new Headers(headers))]);
const shown = signingFetch({ key, certificate: file("alice.crt") }, { origins: [`${origin}/`], fetch: handed });
for (const url of [`${origin}/orders#part`, "https://other.example/"]) {
  const [to, redirect, headers] = await (await shown(url, { redirect: undefined, headers: { "X-Other": "kept" } })).json();
  console.log(to, redirect, headers["x-other"], /^pki=:/.test(headers.signature));
}
