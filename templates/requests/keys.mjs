// Keys: a device's own, by the list; or a shared one, which follows from a secret.

const nobody = () => refuse("device", "this is the key of no device that is accepted");
// A shared key is known by its device's name, which is no secret: whoever has none is not told whether there is such a device.
const noneShared = () => refuse("device", "this is not the signature of a device that is accepted, or not that of this request");

// Whose key it is, and how it verifies. What is not on the list is revoked, or was never ours: nobody is told which.
function accepted(devices, secrets, { alg, keyid }) {
  if (alg === SHARED) {
    const [, address, number] = /^(.*)\/(.*)$/.exec(keyid);
    const isMeant = (epoch) => String(epoch.number) === number && (epoch.until === null || Date.parse(epoch.until) >= Date.now());
    const epoch = secrets.epochs.find(isMeant) ?? noneShared();
    const device = devices.findAddress(address) ?? noneShared();
    const isItsOwn = (signed, octets) => timingSafeEqual(createHmac("sha256", sharedKey(epoch, device)).update(signed).digest(), octets);
    return { device, isItsOwn };
  }
  const device = devices.find(keyid) ?? nobody();
  const isItsOwn = (signed, octets) => verify("sha256", signed, { key: publicKeyOf(device), dsaEncoding: "ieee-p1363" }, octets);
  return { device, isItsOwn };
}

// The key of a device in an epoch. `first` is its first certificate after its last revocation: a lost phone's key does not come back.
const sharedKeys = new WeakMap();
function sharedKey({ number, secret }, device) {
  const { address, first = noneShared() } = device;
  const known = sharedKeys.get(device) ?? new Map();
  sharedKeys.set(device, known);
  if (!known.has(secret)) {
    const octets = hkdfSync("sha256", Buffer.from(secret, "base64"), String(number), `pki/v1/http-hmac/${address}${first}`, 32);
    known.set(secret, Buffer.from(octets));
  }
  return known.get(secret);
}

// The key of a device is made of its octets once, when it signs for the first time since the list was read.
const publicKeys = new WeakMap();
function publicKeyOf(device) {
  if (!publicKeys.has(device)) {
    let key;
    try {
      const spki = Buffer.from(device.spki, "base64");
      if (createHash("sha256").update(spki).digest("base64") !== device.spki_sha256) throw new Error("it is not that of its hash");
      key = createPublicKey({ key: spki, format: "der", type: "spki" });
    } catch (error) {
      console.error(`the list has no key of ${device.address} that can be used: ${error.message}`);
    }
    publicKeys.set(device, key);
  }
  return publicKeys.get(device) ?? refuseFor(60, 503, "unavailable", "the list has no key of this device: publish it anew, or give the device a new certificate");
}
