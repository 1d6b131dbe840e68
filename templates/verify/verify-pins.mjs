// Verifies pins.jws, the pins that a PKI of `pki` signs for its apps. Node.js 18 or later; no other package.
//
//     import { hasPin, verifyPins } from "./verify-pins.mjs";
//     const { number, expires, sets } = verifyPins(token, { root, lastNumber, rootCrl });
//
// or:  node verify-pins.mjs root.crt pins.jws [LAST-NUMBER [root.pem]]
//
// It throws unless the token was signed by a CA for devices that this very root has issued. The root comes with the app; a device's
// and a server's certificate chain to it as well, and what their keys sign is refused. An app keeps the sets that it knows where
// this throws, and remembers `number`: an older token is refused.

import { X509Certificate, createHash, verify } from "node:crypto";
import fs from "node:fs";
import { isIP } from "node:net";
import { fileURLToPath } from "node:url";

const DIGITAL_SIGNATURE = 0x80;   // the first bit of keyUsage, RFC 5280 §4.2.1.3
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const CLOCK_SKEW = 300;
// More than any has, and little enough to be read before it is known who has signed it.
const LONGEST_TOKEN = 256 * 1024, LONGEST_HEADER = 8 * 1024;

/**
 * @param token       the text of pins.jws
 * @param root        the root's certificate, PEM or DER
 * @param lastNumber  the `number` of the last token that was taken; a lower one is refused
 * @param now         seconds since 1970
 * @param rootCrl     the root's CRL (crl/root.pem or root.crl), where a CA that was revoked is to be refused, too; it must be in date
 */
export function verifyPins(token, { root, lastNumber = 0, now = Date.now() / 1000, rootCrl }) {
  demand(token.length <= LONGEST_TOKEN, "longer than 256 KiB");
  const parts = token.trim().split(".");
  demand(parts.length === 3, "no JWS in compact form");
  demand(parts[0].length <= LONGEST_HEADER, "a header longer than 8 KiB");
  const header = JSON.parse(base64url(parts[0]).toString("utf8"));
  const signature = base64url(parts[2]);
  demand(header.alg === "ES256", "another algorithm than ES256");
  demand(header.typ === "pki-pins+jws", "no pins, but another statement");
  demand(!("crit" in header), "an extension that must be understood");
  demand(Array.isArray(header.x5c) && header.x5c.length === 1, "not exactly one certificate");

  const anchor = new X509Certificate(root);
  const der = Buffer.from(header.x5c[0], "base64");
  const signer = new X509Certificate(der);
  demand(signer.raw.equals(der), "something behind the certificate");
  demand(anchor.ca && signer.ca, "signed by a certificate that is no CA's");
  demand(signer.checkIssued(anchor) && signer.verify(anchor.publicKey), "signed by a CA that this root has not issued");
  demand(keyUsage(signer) & DIGITAL_SIGNATURE, "signed by a CA that may not sign statements");
  demand(signer.keyUsage?.includes(CLIENT_AUTH), "signed by a CA that is not for devices");   // Node.js calls the EKU so
  for (const certificate of [anchor, signer]) {
    demand(Date.parse(certificate.validFrom) <= now * 1000 && now * 1000 <= Date.parse(certificate.validTo),
      "signed by a CA that is out of date");
  }
  if (rootCrl) demand(!revoked(rootCrl, anchor, signer, now), "signed by a CA that was revoked");

  const { publicKey: key } = signer;
  demand(key.asymmetricKeyDetails?.namedCurve === "prime256v1" && signature.length === 64, "another key than P-256");
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  demand(verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature), "a signature that does not hold");

  // Not before: what anybody may have written is not looked at.
  const { version, number, iat, exp, sets } = JSON.parse(base64url(parts[1]).toString("utf8"));
  demand([version, number, iat, exp].every(Number.isSafeInteger), "a number that is no integer");
  demand(version === 1, "another version than 1");
  demand(number > 0 && iat < exp, "no number or dates");
  demand(number >= lastNumber, "older than what is known");
  demand(iat <= now + CLOCK_SKEW, "signed in the future");
  demand(now < exp, "expired");
  demand(Array.isArray(sets) && sets.every(isPinSet), "no pin sets");
  return { number, expires: exp, sets };
}

function isPinSet(set) {
  const isPin = ({ pin }) => typeof pin === "string" && /^[A-Za-z0-9+\/]{43}=$/.test(pin);
  return typeof set.host === "string" && typeof set.include_subdomains === "boolean" && !Number.isNaN(Date.parse(set.expires))
    && Array.isArray(set.pins) && set.pins.length >= 2 && set.pins.every(isPin);
}

function demand(holds, otherwise) {
  if (!holds) throw new Error(`pins.jws: ${otherwise}`);
}

function base64url(text) {
  const octets = Buffer.from(text, "base64url");
  demand(octets.toString("base64url") === text, "no base64url");
  return octets;
}

// The elements of a constructed value in DER: its tag, its content, and all of it.
function elements(der) {
  const found = [];
  for (let at = 0; at < der.length;) {
    let [length, content] = [der[at + 1], at + 2];
    if (length & 0x80) {
      const octets = length & 0x7f;
      demand(octets >= 1 && octets <= 4, "a length that is no DER");
      [length, content] = [der.readUIntBE(content, octets), content + octets];
    }
    const end = content + length;
    demand(end <= der.length, "cut short");
    found.push({ tag: der[at], content: der.subarray(content, end), whole: der.subarray(at, end) });
    at = end;
  }
  return found;
}

// The first octet of keyUsage (RFC 5280 §4.2.1.3), which X509Certificate does not tell; 0 where there is none.
function keyUsage(certificate) {
  const [tbs] = elements(elements(certificate.raw)[0].content);
  const extensions = elements(tbs.content).find(({ tag }) => tag === 0xa3);
  for (const { content } of extensions ? elements(elements(extensions.content)[0].content) : []) {
    const parts = elements(content);
    if (parts[0].content.equals(Buffer.from([0x55, 0x1d, 0x0f]))) return elements(parts.at(-1).content)[0].content[1] ?? 0;
  }
  return 0;
}

// Whether the root's CRL, which must be the root's and in date, lists the signer (RFC 5280 §5.1): one that has ended does not tell
// what was revoked since.
function revoked(crl, anchor, signer, now) {
  const text = crl.toString("latin1");
  const der = text.includes("-----BEGIN") ? Buffer.from(text.replace(/-----[^-]+-----/g, ""), "base64") : Buffer.from(crl);
  const [tbs, , signature] = elements(elements(der)[0].content);
  demand(verify("sha256", tbs.whole, anchor.publicKey, signature.content.subarray(1)), "a CRL that is not the root's");
  const parts = elements(tbs.content);
  const dates = parts.filter(isTime).map(seconds);
  demand(dates.length === 2, "a CRL without an end");
  demand(dates[0] <= now + CLOCK_SKEW, "a CRL of the root that begins in the future");
  demand(now <= dates[1], "a CRL of the root that has ended");
  // After the dates; without entries there is no such list.
  const last = parts.findLastIndex(isTime);
  const entries = parts[last + 1]?.tag === 0x30 ? elements(parts[last + 1].content) : [];
  const serial = BigInt(`0x${signer.serialNumber}`);
  return entries.some(({ content }) => BigInt(`0x${elements(content)[0].content.toString("hex")}`) === serial);
}

function isTime({ tag }) {
  return tag === 0x17 || tag === 0x18;
}

// UTCTime has two digits of the year (RFC 5280 §4.1.2.5.1).
function seconds({ tag, content }) {
  const text = content.toString("latin1");
  const whole = tag === 0x17 ? (text < "50" ? "20" : "19") + text : text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(whole);
  demand(parts, "a date that is none");
  const [year, month, ...rest] = parts.slice(1).map(Number);
  return Date.UTC(year, month - 1, ...rest) / 1000;
}

/**
 * The pin set that holds for a host: its own, or that of the nearest host above that includes it; no other one counts beside it.
 * Letter case and a dot at the end make no other host, and an address has none below it.
 */
export function pinSetOf(sets, host) {
  const plain = canonical(host);
  const covers = (set) => canonical(set.host) === plain
    || (set.include_subdomains && !isIP(set.host) && !isIP(plain) && plain.endsWith(`.${canonical(set.host)}`));
  return sets.filter(covers).reduce((near, set) => (near && near.host.length >= set.host.length ? near : set), undefined);
}

function canonical(host) {
  return isIP(host) === 6 ? new URL(`https://[${host}]`).hostname.slice(1, -1) : host.toLowerCase().replace(/\.$/, "");
}

/** Whether a TLS connection's server has one of the pins of its host: for `checkServerIdentity`, after tls.checkServerIdentity. */
export function hasPin(sets, host, certificate) {
  const spki = new X509Certificate(certificate.raw).publicKey.export({ type: "spki", format: "der" });
  const pin = createHash("sha256").update(spki).digest("base64");
  return pinSetOf(sets, host)?.pins.some((pinned) => pinned.pin === pin) ?? false;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [root, token, lastNumber, rootCrl] = process.argv.slice(2);
  try {
    const pins = verifyPins(fs.readFileSync(token, "utf8"), {
      root: fs.readFileSync(root),
      lastNumber: Number(lastNumber ?? 0),
      rootCrl: rootCrl && fs.readFileSync(rootCrl),
    });
    console.log(JSON.stringify(pins));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
