// An AWS API Gateway (HTTP API) in front of {{ host }}: devices only. This is its Lambda authorizer; below is what to set up.
//
// API GATEWAY READS NO CRL. Mutual TLS there checks the chain and the dates, and would let a revoked device in until its certificate
// ends. What works instead is this authorizer: it asks for each request whether the certificate is on the list of those that are
// accepted, and tells the application whose it is.
//
//   1. The CAs, and a domain name with mutual TLS (the certificate of {{ host }} lies in ACM):
//        aws s3 cp {{ (public ~ "/ca/bundle.pem") | shell }} s3://BUCKET/pki/ca.pem
//        aws apigatewayv2 create-domain-name --domain-name {{ host }} \
//            --domain-name-configurations CertificateArn=ARN,EndpointType=REGIONAL,SecurityPolicy=TLS_1_2 \
//            --mutual-tls-authentication TruststoreUri=s3://BUCKET/pki/ca.pem
//      TLS_1_2 is the highest policy of an HTTP API: TLS 1.2 and later. Its suites cannot be chosen.
//   2. The way round it, closed: the API's own name asks for no certificate.
//        aws apigatewayv2 update-api --api-id API --disable-execute-api-endpoint
//   3. This function, as index.mjs with devices.json beside it. AGAIN AFTER EVERY PUBLICATION, or a lost phone stays in:
{% if short_lists %}
//        cp {{ (server ~ "/devices.json") | shell }} {{ (server ~ "/devices-recent.json") | shell }} {{ (server ~ "/revoked.map") | shell }} . &&
//            zip authorizer.zip index.mjs devices.json devices-recent.json revoked.map
{% else %}
//        cp {{ (server ~ "/devices.json") | shell }} devices.json && zip authorizer.zip index.mjs devices.json
{% endif %}
//        aws lambda update-function-code --function-name pki-authorizer --zip-file fileb://authorizer.zip
//   4. The authorizer, whose answers must not be kept, on every route:
//        aws apigatewayv2 create-authorizer --api-id API --name devices --authorizer-type REQUEST \
//            --authorizer-payload-format-version 2.0 --enable-simple-responses --authorizer-result-ttl-in-seconds 0 \
//            --authorizer-uri URI-OF-THE-FUNCTION
//        aws apigatewayv2 update-route --api-id API --route-id ROUTE --authorization-type CUSTOM --authorizer-id AUTHORIZER
//   5. The name of the device for the application, in place of what the client sent by that name. (A second update-integration takes the
//      place of the first: put parameters of your own into this one.)
//        aws apigatewayv2 update-integration --api-id API --integration-id INTEGRATION \
//            --request-parameters '{"overwrite:header.X-Client-Device":"$context.authorizer.device"}'
//
// API Gateway hands on Forwarded, X-Real-IP and what else proxies say. The application must believe none of them; of X-Forwarded-For
// the last address is API Gateway's word.
// The application must be reachable through the API Gateway alone.

import { X509Certificate, createHash } from "node:crypto";
import fs from "node:fs";
{% if networks %}
import net from "node:net";
{% endif %}

// Every certificate that is accepted, by its SHA-256.
const read = (name) => fs.readFileSync(new URL(name, import.meta.url), "utf8");
const devicesIn = (name) => JSON.parse(read(name)).devices;
{% if short_lists %}
// What has changed since the long list was written whole stands in a short one, and who is locked out in revoked.map.
const revoked = new Set(read("revoked.map").split("\n").map((line) => line.split(" ")[0]));
const devices = [...devicesIn("devices.json"), ...devicesIn("devices-recent.json")].filter(({ serial }) => !revoked.has(serial));
{% else %}
const devices = devicesIn("devices.json");
{% endif %}
const accepted = new Map(devices.map((device) => [device["x5t#S256"], device]));

{% if networks %}
// allowed_networks of pki.toml.
const networks = new net.BlockList();
{% for network in networks %}
networks.addSubnet("{{ network.address }}", {{ network.prefix }}, "{{ network.family }}");
{% endfor %}
const fromAllowedNetwork = (address = "") =>
  net.isIP(address) !== 0 && networks.check(address, net.isIPv6(address) ? "ipv6" : "ipv4");
{% else %}
// To let in some networks only, set allowed_networks in pki.toml.
const fromAllowedNetwork = () => true;
{% endif %}

export async function handler(event) {
  const { authentication, http } = event.requestContext;
  // Applications take X_Client_Device and X.Client.Device for X-Client-Device (CGI, PHP).
  if (Object.keys(event.headers ?? {}).some((name) => !/^[a-z0-9-]+$/i.test(name))) return { isAuthorized: false };
  const pem = authentication?.clientCert?.clientCertPem;
  if (!pem || !fromAllowedNetwork(http?.sourceIp)) return { isAuthorized: false };
  const sha256 = createHash("sha256").update(new X509Certificate(pem).raw).digest("base64url");
  const device = accepted.get(sha256);
  // A list that nobody brings up to date must not let in for ever, either.
  if (!device || Date.parse(device.not_after) < Date.now()) return { isAuthorized: false };
  return { isAuthorized: true, context: { device: device.address, serial: device.serial } };
}
