//! The ordered map that the index is kept in: sled on disk, or a tree in memory where nothing may be written.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::Digest;

use crate::store::StoreError;

/// The key of the position: written after everything else.
pub(in crate::store) const POSITION: &[u8] = b"p";

/// Octets by octets, in the order of the keys. Several threads may read it at a time.
pub(in crate::store) trait Map: Send + Sync {
    /// The value of a key.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Every key that begins so, with its value, in order, until `visit` has enough.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
    /// Writes all of these at once; no value removes the key.
    fn write(&mut self, writes: Writes) -> Result<(), StoreError>;
}

/// Takes a key and its value; `false` ends the scan.
pub(in crate::store) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError> + 'a;

/// The changes to write, by key.
pub(in crate::store) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl Map for BTreeMap<Vec<u8>, Vec<u8>> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for (key, value) in self.range(prefix.to_vec()..) {
            if !key.starts_with(prefix) || !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, writes: Writes) -> Result<(), StoreError> {
        for (key, value) in writes {
            match value {
                Some(value) => self.insert(key, value),
                None => self.remove(&key),
            };
        }
        Ok(())
    }
}

/// A sled database: one process at a time.
///
/// sled's cost to open grows with the number of its keys, so neighbouring keys share one: a *bucket*, whose
/// value is the sorted list of their pairs. At 100,000 certificates that makes an open several times quicker.
pub(in crate::store) struct Sled(sled::Db);

/// The errors by which sled does not open.
pub(in crate::store) enum NotOpened {
    /// Another process has it.
    Busy,
    /// It works in threads, and the system starts none. sled would wait for them for ever.
    NoThreads(String),
    /// Its files are damaged, or cannot be written.
    Unusable(String),
}

/// The most operations of one `sled::Batch`: its memory grows much faster than its size.
const BATCH: usize = 500;

/// How many octets of pages sled may keep.
const CACHE: u64 = 16 << 20;

/// For so many octets of a bucket a scan looks at it once more. sled notes which pages are used, in blocks of
/// 64 for each 256th page, and lets go of others only where a block is full: a scan, which comes to a page
/// once, would have the whole index in memory at its end. So it has 8 MB more than [`CACHE`].
const LOOK: usize = 1024;

impl Sled {
    /// Opens or makes the database in `directory`, which the caller has made private.
    pub(in crate::store) fn open(directory: &Path) -> Result<Self, NotOpened> {
        let trial = std::thread::Builder::new().spawn(|| ());
        let trial = trial.map_err(|error| NotOpened::NoThreads(error.to_string()))?;
        // What it takes of a limit is free again before sled starts its own.
        let _ = trial.join();
        mend_cut_off_snapshot(directory);
        let config = sled::Config::new()
            .path(directory)
            .cache_capacity(CACHE)
            .flush_every_ms(None)
            .use_compression(false);
        match unpanicked(|| config.open()) {
            Ok(db) => Ok(Self(db)),
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                Err(NotOpened::Busy)
            }
            Err(error) => Err(NotOpened::Unusable(error.to_string())),
        }
    }

    fn bucket(&self, name: &[u8]) -> Result<sled::IVec, StoreError> {
        let packed = unpanicked(|| self.0.get(name)).map_err(|e| broken(&e))?;
        Ok(packed.unwrap_or_default())
    }
}

/// sled panics on some kinds of damage. The index can always be made anew, so a panic is one more way of
/// being damaged.
fn unpanicked<T>(call: impl FnOnce() -> sled::Result<T>) -> sled::Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    std::panic::set_hook(hook);
    outcome.unwrap_or(Err(sled::Error::Corruption { at: None, bt: () }))
}

/// A kill while sled opens can leave `snap.*.generating`, and every later open then fails; sled makes the
/// snapshot again.
fn mend_cut_off_snapshot(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            // Where it cannot be removed, opening says so.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn broken(error: &sled::Error) -> StoreError {
    StoreError::Index(error.to_string())
}

/// The bucket of a key: by the first bits of a serial, in its order, or by a hash of the employee. Single
/// keys have their own.
fn bucket_name(key: &[u8]) -> Vec<u8> {
    let bits = |mask: u16, octets: &[u8]| {
        let first = u16::from_be_bytes([
            octets.first().copied().unwrap_or(0),
            octets.get(1).copied().unwrap_or(0),
        ]);
        (first & mask).to_be_bytes()
    };
    match key.split_first() {
        // 2^15 buckets of records: about 5 KB each at a million certificates (the first bit of a serial is
        // 0).
        Some((kind @ (b'r' | b'z'), serial)) => [&[*kind][..], &bits(0xFFFF, serial)].concat(),
        Some((b'v', serial)) => [&[b'v'][..], &bits(0xFFFC, serial)].concat(),
        // Few at a time: they go when lists are published whole.
        Some((b'u', serial)) => [&[b'u'][..], &bits(0xFF00, serial)].concat(),
        // A pin is as good as random.
        Some((b'q', pin)) => [&[b'q'][..], &bits(0xFFF8, pin)].concat(),
        Some((kind @ (b'd' | b'o'), name)) => {
            let employee = name.split(|o| *o == b'/').next().unwrap_or_default();
            let hash = sha2::Sha256::digest(employee);
            [&[*kind][..], &bits(0xFFF8, &hash)].concat()
        }
        _ => key.to_vec(),
    }
}

/// The pairs of a bucket, where they lie: there are as many as there are certificates.
pub(super) type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

pub(super) fn pack<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let length = |octets: &[u8]| u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut packed = Vec::new();
    for (key, value) in pairs {
        for part in [&length(key)[..], key, &length(value), value] {
            packed.extend_from_slice(part);
        }
    }
    packed
}

pub(super) fn unpack(mut packed: &[u8]) -> Result<Pairs<'_>, StoreError> {
    let mut part = || {
        let (length, rest) = packed.split_first_chunk::<4>()?;
        let (octets, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        packed = rest;
        Some(octets)
    };
    let mut pairs = Vec::new();
    while let Some(key) = part() {
        pairs.push((
            key,
            part().ok_or_else(|| StoreError::Index("a bucket cannot be read".into()))?,
        ));
    }
    if packed.is_empty() {
        Ok(pairs)
    } else {
        Err(StoreError::Index("a bucket cannot be read".into()))
    }
}

impl Map for Sled {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let bucket = self.bucket(&bucket_name(key))?;
        let found = unpack(&bucket)?.into_iter().find(|(k, _)| *k == key);
        Ok(found.map(|(_, value)| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // A scan of one kind goes through all its buckets, any other through the one bucket of its employee.
        let buckets = if prefix.len() == 1 {
            prefix.to_vec()
        } else {
            bucket_name(prefix)
        };
        let mut iterator = self.0.scan_prefix(buckets);
        let mut next = || {
            let pair = iterator.next().transpose()?;
            if let Some((name, bucket)) = &pair {
                for _ in 0..bucket.len() / LOOK {
                    self.0.contains_key(name)?;
                }
            }
            Ok(pair)
        };
        while let Some(pair) = unpanicked(&mut next).map_err(|e| broken(&e))? {
            for (key, value) in unpack(&pair.1)? {
                if key.starts_with(prefix) && !visit(key, value)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, writes: Writes) -> Result<(), StoreError> {
        let mut named: Vec<_> = writes
            .into_iter()
            .map(|(key, value)| (bucket_name(&key), key, value))
            .collect();
        // The position goes last: where a kill comes between two batches, the events are applied once more.
        named.sort_by(|(a, ..), (b, ..)| (a == POSITION, a).cmp(&(b == POSITION, b)));
        let mut batch = sled::Batch::default();
        let mut operations = 0;
        for changes in named.chunk_by(|(a, ..), (b, ..)| a == b) {
            let name = changes[0].0.as_slice();
            let bucket = self.bucket(name)?;
            let mut pairs: BTreeMap<&[u8], &[u8]> = unpack(&bucket)?.into_iter().collect();
            for (_, key, value) in changes {
                match value {
                    Some(value) => pairs.insert(key, value),
                    None => pairs.remove(key.as_slice()),
                };
            }
            batch.insert(name, pack(pairs));
            operations += 1;
            if operations == BATCH {
                let full = std::mem::take(&mut batch);
                unpanicked(|| self.0.apply_batch(full)).map_err(|e| broken(&e))?;
                operations = 0;
            }
        }
        unpanicked(|| self.0.apply_batch(batch)).map_err(|e| broken(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same sentences of both maps.
    fn contract(map: &mut dyn Map) {
        let put = |map: &mut dyn Map, pairs: &[(&[u8], Option<&[u8]>)]| {
            let writes = pairs
                .iter()
                .map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec)))
                .collect();
            map.write(writes).unwrap();
        };
        let scan = |map: &dyn Map, prefix: &[u8]| {
            let mut found = Vec::new();
            map.scan(prefix, &mut |key, _| {
                found.push(key.to_vec());
                Ok(true)
            })
            .unwrap();
            found
        };
        put(
            map,
            &[
                (b"r\x01\x02a", Some(b"1")),
                (b"r\x01\x02b", Some(b"2")),
                (b"r\x7f\xffc", Some(b"3")),
            ],
        );
        put(
            map,
            &[
                (b"dalice/phone\0x", Some(b"4")),
                (b"dalice/tablet\0x", Some(b"5")),
                (b"dbob/phone\0x", Some(b"6")),
            ],
        );
        put(map, &[(POSITION, Some(b"p")), (b"r\x01\x02b", None)]);
        assert_eq!(map.value(b"r\x01\x02a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(map.value(b"r\x01\x02b").unwrap(), None);
        assert_eq!(scan(map, b"r"), [b"r\x01\x02a".to_vec(), b"r\x7f\xffc".to_vec()]);
        assert_eq!(
            scan(map, b"dalice/"),
            [b"dalice/phone\0x".to_vec(), b"dalice/tablet\0x".to_vec()]
        );
        assert_eq!(scan(map, b"dalice/phone\0"), [b"dalice/phone\0x".to_vec()]);
        assert_eq!(map.value(POSITION).unwrap(), Some(b"p".to_vec()));
    }

    #[test]
    fn memory_and_sled_say_the_same() {
        contract(&mut BTreeMap::new());
        let directory = tempfile::tempdir().unwrap();
        contract(&mut Sled::open(directory.path()).ok().unwrap());
    }

    /// How many octets this process has read from files.
    #[cfg(target_os = "linux")]
    fn read_from_files() -> u64 {
        let counted = std::fs::read_to_string("/proc/self/io").unwrap();
        let line = counted.lines().find_map(|line| line.strip_prefix("rchar: "));
        line.unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_scan_does_not_keep_what_it_has_seen() {
        const BUCKETS: u16 = 32_000;
        const VALUE: usize = 2000;
        let directory = tempfile::tempdir().unwrap();
        let mut map = Sled::open(directory.path()).ok().unwrap();
        let key = |number: u16| [&b"r"[..], &number.to_be_bytes()].concat();
        let pairs = (0..BUCKETS).map(|number| (key(number), Some(vec![7; VALUE])));
        map.write(pairs.collect()).unwrap();
        map.0.flush().unwrap();
        let scan = || {
            let mut count = 0;
            map.scan(b"r", &mut |_, _| {
                count += 1;
                Ok(true)
            })
            .unwrap();
            assert_eq!(count, BUCKETS);
        };
        scan();
        let before = read_from_files();
        scan();
        let again = read_from_files() - before;
        let all = u64::from(BUCKETS) * VALUE as u64;
        assert!(again > all / 2, "{again} of {all} octets were read again");
    }

    #[test]
    fn a_bucket_that_is_cut_is_an_error_and_no_panic() {
        let packed = pack([(&b"key"[..], &b"value"[..])]);
        assert!(unpack(&packed).is_ok());
        for length in 1..packed.len() {
            assert!(unpack(&packed[..length]).is_err(), "cut at {length}");
        }
    }
}
