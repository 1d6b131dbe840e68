// Sends requests by the signer for fetch, to an API under its own name: node fetches.mjs ORIGIN.

import fs from "node:fs";
import { fromPem, signingFetch } from "./sign-requests.mjs";

const [origin] = process.argv.slice(2);
const file = (name) => fs.readFileSync(name, "utf8");
const { key, certificate } = await fromPem(file("alice.crt"), file("alice.key"));
const fetch = signingFetch({ key, certificate });
const say = async (input, init) => {
  const response = await fetch(input, init);
  console.log(response.status, (await response.text()).trim());
};
await say(`${origin}/a%2Fb?c=%20d&e#part`);
await say(`${origin}/orders`, { method: "POST", body: "{}", headers: { authorization: "Bearer word" } });
await say(new Request(`${origin}/orders`, { method: "PUT", body: new Uint8Array([97, 98]) }));
await say(new URL(`${origin}/orders`), { method: "DELETE" });
const other = signingFetch({ key, certificate: file("alice.crt") }, { fetch: async (url, init) => Response.json([url, Object.fromEntries(init.headers)]) });
const [url, headers] = await (await other(`${origin}/orders#part`, { headers: { "X-Other": "kept" } })).json();
console.log(url, headers["x-other"], /^pki=:/.test(headers.signature));
