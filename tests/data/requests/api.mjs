// An application that takes requests signed by devices alone, by one of three frameworks: node api.mjs FRAMEWORK PORT ORIGIN MOST [REDIS] [SECRETS].
// It answers with the device and with what it has read of the body. MOST is how many nonces of a device are kept; REDIS is where, by the
// port of Redis and the package to ask it with, or none; SECRETS is the file with those of shared keys.

import fs from "node:fs";
import http from "node:http";
import { ownReplays, sharedReplays, signedRequests } from "./requests.mjs";

const [framework, port, origin, most, redis = "none", shared] = process.argv.slice(2);

async function replays() {
  if (redis === "none") return ownReplays(Number(most));
  const [at, client] = redis.split(":");
  if (client === "ioredis") {
    const { default: Redis } = await import("ioredis");
    const asked = new Redis(Number(at), { maxRetriesPerRequest: 0 });
    asked.on("error", () => {});
    return sharedReplays((script, keys, values) => asked.eval(script, keys.length, ...keys, ...values), Number(most));
  }
  const { createClient } = await import("redis");
  const asked = await createClient({ url: `redis://127.0.0.1:${at}`, disableOfflineQueue: true }).on("error", () => {}).connect();
  return sharedReplays((script, keys, values) => asked.eval(script, { keys, arguments: values }), Number(most));
}

const secrets = shared && JSON.parse(fs.readFileSync(shared, "utf8"));
const signed = signedRequests({ secrets, origins: origin.split(","), maxBody: 1 << 16, replays: await replays() });
const answer = (request, body) => JSON.stringify({ device: request.device.address, header: request.headers["x-client-device"], body });
const listening = () => console.log("listening");

if (framework === "plain") {
  const handle = (request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk)).on("end", () => response.end(answer(request, Buffer.concat(chunks).toString())));
  };
  http.createServer(signed.handler(handle)).listen(Number(port), listening);
} else if (framework === "express") {
  const { default: express } = await import("express");
  const app = express();
  const orders = express.Router();
  orders.use(signed.express, express.text({ type: () => true }));
  orders.use((request, response) => response.end(answer(request, request.body ?? "")));
  app.use("/orders", orders);   // below a path, where `url` is not what the client has asked for
  app.listen(Number(port), listening);
} else {
  const { default: fastify } = await import("fastify");
  const app = fastify();
  await app.register(signed.fastify);
  app.addContentTypeParser("*", { parseAs: "string" }, (request, body, done) => done(null, body));
  app.all("/*", async (request) => {
    if (request.device !== request.raw.device) throw new Error("two devices");
    return answer(request, request.body ?? "");
  });
  await app.listen({ port: Number(port) });
  listening();
}
