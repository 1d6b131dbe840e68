// A page whose script signs what it asks of its own server: node browser.mjs PORT ORIGIN. Page and signer are anybody's; /orders is for
// devices alone. The key is made not extractable, as an app in a browser has it.

import fs from "node:fs";
import http from "node:http";
import { signedRequests } from "./requests.mjs";

const [port, origin] = process.argv.slice(2);
const signed = signedRequests({ origins: [origin] });
const PAGE = `<!doctype html><title>asks</title><script type="module">
import { fromPem, signingFetch } from "./sign-requests.mjs";
const text = async (name) => (await fetch(name)).text();
const device = await fromPem(await text("alice.crt"), await text("alice.key"));
const ask = signingFetch(device, { origins: [location.origin] });
const answers = [];
for (const [url, init] of [["/orders?a=%2F#b", {}], ["/orders", { method: "POST", body: "{}", headers: { Authorization: "Bearer word" } }]]) {
  const response = await ask(url, init);
  answers.push(response.status + " " + await response.text());
}
document.title = answers.join(" | ") + " | " + device.key.extractable;
</script>`;
const files = { "/": [PAGE, "text/html"], "/sign-requests.mjs": [fs.readFileSync("sign-requests.mjs"), "text/javascript"] };
for (const name of ["alice.crt", "alice.key"]) files[`/${name}`] = [fs.readFileSync(name), "text/plain"];
const verified = signed.handler((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk)).on("end", () => response.end(`${request.device.address} ${Buffer.concat(chunks)}`.trim()));
});
http.createServer((request, response) => {
  const [file, type] = files[request.url] ?? [];
  return file === undefined ? verified(request, response) : response.setHeader("Content-Type", type).end(file);
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
