// The devices that are accepted, and how they are found.

const STALE = "the list of devices has ended: look why no publication comes";

// The devices by the hash that signatures and tokens name a certificate by, as it was published last. All that ask in this process read
// it once.
let followed;
function followedDevices() {
  if (followed === undefined) {
    const accepted = devicesBy("x5t#S256");
    try {
      accepted.read();
    } catch (error) {
      const help = "it must be the servers' half of a publication, whole, that this account can read ([[publish]] group = … in pki.toml)";
      throw new Error(`${SERVER}: ${error.message}: ${help}`);
    }
    const groups = new WeakMap();
    // The devices of a list by their addresses, made when one is asked for so.
    const byAddress = (list) => {
      if (!groups.has(list)) {
        const made = new Map();
        for (const device of list) made.set(device.address, [...made.get(device.address) ?? [], device]);
        groups.set(list, made);
      }
      return groups.get(list);
    };
    const isGood = (device) => device !== undefined && Date.parse(device.not_after) >= Date.now();
    const inDate = () => accepted.lists.until >= Date.now() || refuseFor(60, 503, "unavailable", STALE);
    followed = {
      users: 0,
      publication: followPublication([SERVER], accepted.read),
      find: (hash) => inDate() && [accepted.get(hash)].find(isGood),
      // One certificate of a device, for what goes by its address.
      findAddress: (address) => {
        const { whole, changed } = inDate() && accepted.lists;
        const all = [changed, whole].flatMap((list) => byAddress(list).get(address) ?? []);
        return all.find((device) => isGood(device) && accepted.get(device["x5t#S256"]) === device);
      },
    };
  }
  const { publication, find, findAddress } = followed;
  followed.users += 1;
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    followed.users -= 1;
    if (followed.users > 0) return;
    publication.end();
    followed = undefined;
  };
  const open = (ask) => (value) => isOver ? refuseFor(60, 503, "unavailable", "requests are not verified any more") : ask(value);
  return { find: open(find), findAddress: open(findAddress), end };
}
