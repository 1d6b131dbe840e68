// Sends the same requests more than once, and more than are remembered: node replays.mjs ORIGIN fill|both|once PORT….

import fs from "node:fs";
import http from "node:http";
import { fromPem, signatureHeaders } from "./sign-requests.mjs";

const [origin, does, ...ports] = process.argv.slice(2);
const file = (name) => fs.readFileSync(name, "utf8");
const devices = {};
for (const name of ["alice", "bob"]) devices[name] = await fromPem(file(`${name}.crt`), file(`${name}.key`));
const signed = (name) => signatureHeaders(devices[name], { method: "GET", url: `${origin}/orders` });
const agent = new http.Agent({ keepAlive: true });
const ask = (port, headers) => new Promise((resolve, reject) => {
  http.get({ host: "localhost", port, path: "/orders", headers, agent }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (part) => { text += part; }).on("end", () => {
      resolve(response.statusCode === 200 ? "taken" : `${response.statusCode} ${JSON.parse(text).code}`);
    });
  }).on("error", reject);
});

// Fifty requests one after the other; the first one again in the end, where it is asked for.
async function fill(name, repeats) {
  const count = { taken: 0, "429 busy": 0 };
  const first = await signed(name);
  for (let sent = 0; sent < 50; sent += 1) count[await ask(ports[0], sent === 0 ? first : await signed(name))] += 1;
  console.log(`${name}: ${count.taken} taken, ${count["429 busy"]} busy`);
  // What was taken is remembered though there is room for no more.
  if (repeats) console.log("again:", await ask(ports[0], first));
}

if (does === "fill") {
  await fill("alice", true);
  await fill("bob");
} else if (does === "both") {
  let one = 0;
  for (let sent = 0; sent < 8; sent += 1) {
    const headers = await signed("alice");
    const answers = await Promise.all(ports.map((port) => ask(port, headers)));
    one += answers.sort().join() === "401 replayed,taken" ? 1 : 0;
  }
  console.log(`one of two took each: ${one} of 8`);
  await fill("alice");
} else {
  console.log(await ask(ports[0], await signed("alice")));
}
agent.destroy();
