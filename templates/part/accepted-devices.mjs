// The lists of the publication in SERVER, as they belong together: each is held against the manifest, which comes last. What has not come
// yet is read again a second later. The whole list of devices is read only where it is another than before: where devices are many, a short
// one beside it says what has changed.
function readLists(before) {
  const { files, recent = {}, valid_until: until } = JSON.parse(fs.readFileSync(`${SERVER}/manifest.json`));
  const isThat = "devices.json" in files && "revoked.map" in files && Date.parse(until) > 0;
  if (!isThat) throw new Error("its manifest is not that of a servers' half");
  const read = (name, { sha256 }) => {
    const octets = fs.readFileSync(`${SERVER}/${name}`);
    if (createHash("sha256").update(octets).digest("hex") !== sha256) throw new Error(`${name} is not that of manifest.json`);
    return octets.toString();
  };
  const devicesIn = (name, listed) => {
    const { devices } = JSON.parse(read(name, listed));
    for (const { serial, address, status } of devices) {
      const isOne = /^[0-9A-F]+$/.test(serial) && /^[a-z0-9._-]+\/[a-z0-9._-]+$/.test(address) && /^(valid|superseded)$/.test(status);
      if (!isOne) throw new Error(`${name} is damaged`);
    }
    return devices.map(Object.freeze);
  };
  const { sha256 } = files["devices.json"];
  return {
    sha256,
    whole: before?.sha256 === sha256 ? before.whole : devicesIn("devices.json", files["devices.json"]),
    changed: "devices-recent.json" in recent ? devicesIn("devices-recent.json", recent["devices-recent.json"]) : [],
    revoked: new Set(read("revoked.map", files["revoked.map"]).split("\n").map((line) => line.split(" ")[0])),
    until: Date.parse(until),
  };
}

// Every certificate that is accepted, by one of its properties. What is not in it is locked out, a CA's own certificate, too; and who is
// revoked, whatever another list says.
function devicesBy(property) {
  let lists, whole, changed;
  return {
    read() {
      const next = readLists(lists);
      const index = (devices) => new Map(devices.map((device) => [device[property], device]));
      if (next.whole !== lists?.whole) whole = index(next.whole);
      changed = index(next.changed);
      lists = next;
    },
    get(value) {
      const device = changed.get(value) ?? whole.get(value);
      return device !== undefined && !lists.revoked.has(device.serial) ? device : undefined;
    },
    get lists() {
      return lists;
    },
  };
}

// Reads again whenever a publication has come. The manifest is the last file of each half that is written. It is looked up by its name
// twice a second, so that it is found again where its directory was replaced by another, and where the file system reports no events
// (NFS, a container's mount).
function followPublication(directories, read) {
  let soon, told;
  const again = () => {
    clearTimeout(soon);
    try {
      read();
      told = undefined;
      console.log("publication read");
    } catch (error) {
      if (error.message !== told) console.error(`publication not read: ${error.message}`);
      told = error.message;
      soon = setTimeout(again, 1000);
      soon.unref();
    }
  };
  const changed = () => {
    clearTimeout(soon);
    soon = setTimeout(again, 100);
    soon.unref();
  };
  const manifests = directories.map((directory) => `${directory}/manifest.json`);
  // What follows it goes on for as long as something else keeps the process.
  for (const manifest of manifests) fs.watchFile(manifest, { interval: 500, persistent: false }, changed);
  const end = () => {
    clearTimeout(soon);
    for (const manifest of manifests) fs.unwatchFile(manifest, changed);
  };
  return { again, end };
}
