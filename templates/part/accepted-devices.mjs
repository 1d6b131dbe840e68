// Every certificate that is accepted, by its serial number. What is not in it is locked out, a CA's own certificate, too. Where devices
// are many, this list is written whole now and then: meanwhile a short one says what has changed, and revoked.map who is locked out.
function acceptedDevices() {
  const read = (name) => fs.readFileSync(`${SERVER}/${name}`, "utf8");
  const devicesIn = (name) => {
    const { devices } = JSON.parse(read(name));
    for (const { serial, address } of devices) {
      if (!/^[0-9A-F]+$/.test(serial) || !/^[a-z0-9._-]+\/[a-z0-9._-]+$/.test(address)) throw new Error(`${name} is damaged`);
    }
    return devices.map((device) => [device.serial, device]);
  };
  const devices = new Map(devicesIn("devices.json"));
  if (fs.existsSync(`${SERVER}/devices-recent.json`)) {
    for (const [serial, device] of devicesIn("devices-recent.json")) devices.set(serial, device);
    for (const line of read("revoked.map").split("\n")) devices.delete(line.split(" ")[0]);
  }
  return devices;
}

// Reads again whenever a publication has come. The manifest is the last file of each half that is written. It is looked up by its name
// twice a second, so that it is found again where its directory was replaced by another, and where the file system reports no events
// (NFS, a container's mount).
function followPublication(directories, read) {
  const again = () => {
    try {
      read();
      console.log("publication read");
    } catch (error) {
      console.error(`publication not read: ${error.message}`);
    }
  };
  let soon;
  const changed = () => {
    clearTimeout(soon);
    soon = setTimeout(again, 100);
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
