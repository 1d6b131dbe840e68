// An authorization server, by the package oidc-provider, that issues access tokens bound to devices' certificates (RFC 8705): a device
// shows its certificate to the token endpoint, and no secret is kept anywhere. An example to begin with: it issues tokens to devices
// as such (client credentials), and remembers in memory.
//
//     pki config node auth.acme.example > server.mjs
//     node authorization-server.mjs https://auth.acme.example 443 https://api.acme.example
//
// A device asks for a token as the client that is called as its address:
//
//     curl --cert alice.crt --key alice.key https://auth.acme.example/token -d grant_type=client_credentials -d client_id=alice/phone

import { generateKeyPairSync } from "node:crypto";
import Provider, { errors } from "oidc-provider";
import { deviceServer } from "./server.mjs";

const [issuer, port, api] = process.argv.slice(2);

// Each device is a client, by its address, and proves by its certificate that it is that one. Nobody registers it.
const clientOf = (address) => ({
  client_id: address,
  token_endpoint_auth_method: "tls_client_auth",
  tls_client_auth_subject_dn: address,
  tls_client_certificate_bound_access_tokens: true,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: "ES256",
});

// What the provider remembers besides. A company's own server keeps it in a database.
class Memory {
  static kept = new Map();

  constructor(name) {
    this.name = name;
  }

  async find(id) {
    if (this.name === "Client") return /^[a-z0-9._-]+\/[a-z0-9._-]+$/.test(id) ? clientOf(id) : undefined;
    return Memory.kept.get(`${this.name}:${id}`);
  }

  async upsert(id, payload) {
    Memory.kept.set(`${this.name}:${id}`, payload);
  }

  async consume(id) {
    Memory.kept.get(`${this.name}:${id}`).consumed = true;
  }

  async destroy(id) {
    Memory.kept.delete(`${this.name}:${id}`);
  }
}

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });   // a company's own server keeps it

const provider = new Provider(issuer, {
  adapter: Memory,
  clientAuthMethods: ["tls_client_auth"],
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" }] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      // deviceServer has verified the certificate, and lets in nobody else.
      getCertificate: ({ req }) => req.socket.getPeerX509Certificate(),
      certificateAuthorized: ({ req }) => req.device !== undefined,
      certificateSubjectMatches: ({ req }, _, address) => req.device.address === address,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => api,
      getResourceServerInfo: (_, resource) => {
        if (resource !== api) throw new errors.InvalidTarget();
        return { scope: "", audience: api, accessTokenFormat: "jwt", accessTokenTTL: 3600, jwt: { sign: { alg: "ES256" } } };
      },
      useGrantedResource: () => true,
    },
  },
});

deviceServer(provider.callback()).listen(Number(port), () => console.log("listening"));
