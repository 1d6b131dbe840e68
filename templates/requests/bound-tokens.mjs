// Access tokens that are bound to devices.

const refuseToken = (message, error = `, error="invalid_token", error_description="${message}"`) =>
  refuse("token", message, 401, { "WWW-Authenticate": `Bearer realm="devices"${error}` });

/**
 * Lets a request through whose access token was issued to the device that it comes from (RFC 8705 §3), by the thumbprint in its `cnf`.
 * A device has another certificate after each renewal, and the token the thumbprint of an earlier one: it is taken as long as servers
 * accept that certificate, and it is the same device's. `strict: true` takes the certificate of the token alone.
 *
 * `claims(token, request)` verifies a token, and gives its claims. What it throws is a token that is not good; where it cannot tell,
 * because nobody gives it the keys, let it throw `new Refusal(503, "unavailable", "…")`. `device(request)` gives
 * the device that the request comes from, where it is not in `request.device`; behind a proxy that has verified the certificate,
 * `({ headers }) => ({ address: headers["x-client-device"] })`, which is too little for `strict`. Handlers find the claims in
 * `request.token`.
 */
export function boundTokens({ claims, device = (request) => request.device, strict = false }) {
  if (typeof claims !== "function") throw new TypeError("boundTokens needs `claims`, which verifies a token and gives its claims");
  const devices = followedDevices();

  /** The claims of a request's token; throws a `Refusal`. */
  async function judge(request) {
    const authorization = only(request, "authorization", () => refuseToken("there are two access tokens")) ?? "";
    const [, token] = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(authorization) ?? refuseToken("there is no access token", "");
    const from = device(request);
    if (!from?.address) throw new Error("boundTokens does not know which device a request comes from: see its `device`");
    const verified = async () => claims(token, request);
    const found = await verified().catch((error) => {
      if (error instanceof Refusal) throw error;
      // Also a fault of `claims` itself comes so.
      console.error(`a token is not good: ${error?.message ?? error}`);
      return refuseToken("the token is not good");
    });
    const thumbprint = found?.cnf?.["x5t#S256"];
    if (typeof thumbprint !== "string") refuseToken("the token is bound to no device");
    if (strict && thumbprint !== from["x5t#S256"]) refuseToken("the token was issued to another certificate");
    const owner = devices.find(thumbprint) ?? refuseToken("the token was issued to a certificate that is not accepted any more");
    if (owner.address !== from.address) refuseToken("the token was issued to another device");
    request.token = found;
    return found;
  }
  return { verify: judge, ...forms(judge, Infinity), close: devices.end };
}
