//! The files of a device, certificate and key, and their exchange for the next ones.
//!
//! Two files cannot be renamed at once. So the next ones lie beside them, under `.new`, whole and synced,
//! before the first is renamed: whenever a run is cut off, the next one can tell by the keys what belongs
//! together, and finishes the exchange. Before the certificate is there, the new key waits beside the old
//! pair, which works.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::ReenrollError;
use crate::credential::{self, Chain, CredentialError};
use crate::disk::{self, PRIVATE_FILE, Shown, Staged};
use crate::key::{Passphrase, SoftwareKey, os_rng};
use crate::model::Time;
use crate::x509::Certificate;

/// The places of the files. Links are followed: what they lead to is exchanged, and they stay.
#[derive(Debug)]
pub(super) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

/// What lies in the places.
pub(super) enum Standing {
    /// A certificate with its key.
    Whole(Box<Whole>),
    /// A certificate and its key that are not both in their places yet: the end of its life.
    Unfinished(Time),
}

/// A certificate with its key, and the next key where an earlier run has made it.
pub(super) struct Whole {
    pub chain: Chain,
    pub key: SoftwareKey,
    pub next: Option<SoftwareKey>,
}

impl Pair {
    pub(super) fn at(certificate: &Path, key: &Path) -> Result<Self, ReenrollError> {
        let real = |path: &Path| fs::canonicalize(path).map_err(disk::failed("read", path));
        let pair = Self {
            certificate: real(certificate)?,
            key: real(key)?,
        };
        if pair.certificate == pair.key {
            return Err(CredentialError::Together(Shown(certificate.to_owned())).into());
        }
        Ok(pair)
    }

    pub(super) fn key(&self) -> &Path {
        &self.key
    }

    /// The directory whose lock keeps two runs apart.
    pub(super) fn directory(&self) -> &Path {
        directory_of(&self.key)
    }

    fn next_certificate(&self) -> PathBuf {
        beside(&self.certificate, ".new")
    }

    /// Where the next key is until its certificate has come.
    pub(super) fn next_key(&self) -> PathBuf {
        beside(&self.key, ".new")
    }

    /// The file that is there while whoever uses the pair has not been told of the exchange.
    fn untold(&self) -> PathBuf {
        beside(&self.key, ".untold")
    }

    /// Whether an earlier run has left something to do.
    pub(super) fn is_begun(&self) -> bool {
        disk::is_taken(&self.next_certificate()) || disk::is_taken(&self.next_key())
    }

    pub(super) fn is_untold(&self) -> bool {
        disk::is_taken(&self.untold())
    }

    pub(super) fn told(&self) -> Result<(), ReenrollError> {
        Ok(disk::remove_if_there(&self.untold())?)
    }

    /// Removes what writes that were cut off have left. For the holder of the lock.
    pub(super) fn sweep(&self) {
        for place in [self.next_certificate(), self.next_key(), self.untold()] {
            disk::sweep(&place);
        }
    }

    /// The certificate that is in place.
    pub(super) fn chain(&self) -> Result<Chain, ReenrollError> {
        Ok(credential::read_chain(&self.certificate)?)
    }

    /// Whether the key is encrypted.
    pub(super) fn is_encrypted(&self) -> Result<bool, ReenrollError> {
        Ok(credential::is_encrypted(&self.key)?)
    }

    /// Looks by the keys what belongs together.
    pub(super) fn standing(&self, passphrase: Option<&Passphrase>) -> Result<Standing, ReenrollError> {
        let there = |path: PathBuf| disk::is_taken(&path).then_some(path);
        let (next_chain, next_key) = (there(self.next_certificate()), there(self.next_key()));
        let chain = self.chain()?;
        let key = credential::read_key(&self.key, passphrase)?;
        let next = next_key
            .map(|path| credential::read_key(&path, passphrase))
            .transpose()?;
        let is_next_certificate = next_chain.is_some();
        let newest = match next_chain {
            Some(path) => credential::read_chain(&path)?,
            None => self.chain()?,
        };
        let is_unfinished = is_next_certificate || next.is_some();
        if is_unfinished && newest.is_of(next.as_ref().unwrap_or(&key)) {
            return Ok(Standing::Unfinished(newest.own.validity().not_after));
        }
        if chain.is_of(&key) {
            return match is_next_certificate {
                true => Err(ReenrollError::Stray(Shown(self.next_certificate()))),
                false => Ok(Standing::Whole(Box::new(Whole { chain, key, next }))),
            };
        }
        Err(CredentialError::Mismatch {
            key: Shown(self.key.clone()),
            certificate: Shown(self.certificate.clone()),
        }
        .into())
    }

    /// Makes the next key, and has it on disk, as private as the one in place and encrypted as that is.
    pub(super) fn make_next_key(
        &self,
        passphrase: Option<&Passphrase>,
    ) -> Result<SoftwareKey, ReenrollError> {
        let place = self.next_key();
        let unwritable = |why| CredentialError::Key {
            path: Shown(place.clone()),
            why,
        };
        let key = SoftwareKey::generate(&mut os_rng());
        let text = match passphrase {
            Some(passphrase) => key.encrypt(passphrase, &mut os_rng()).map(Zeroizing::new),
            None => key.pkcs8_pem(),
        };
        put(
            &place,
            &self.key,
            PRIVATE_FILE,
            text.map_err(unwritable)?.as_bytes(),
        )?;
        Ok(key)
    }

    /// Makes sure that a certificate can be put beside the one in place, before one is asked for.
    pub(super) fn demand_room(&self) -> Result<(), ReenrollError> {
        let longest = usize::try_from(credential::LONGEST).unwrap_or(usize::MAX);
        Ok(disk::demand_room(directory_of(&self.certificate), longest, 1)?)
    }

    /// Puts the next certificate beside the one in place, in the form of that: with those above it where it
    /// had them, and open to the same readers.
    pub(super) fn put_next(&self, chain: &Chain, was: &Chain) -> Result<(), ReenrollError> {
        let octets = match was.is_pem {
            true => std::iter::once(chain.own.der())
                .chain(chain.above.iter().map(Vec::as_slice))
                .map(|der| crate::x509::pem::encode(crate::x509::pem::CERTIFICATE, der))
                .collect::<String>()
                .into_bytes(),
            false => chain.own.der().to_vec(),
        };
        let mode = disk::mode(&self.certificate)?;
        put(&self.next_certificate(), &self.certificate, mode, &octets)
    }

    /// Notes that whoever uses the pair is to be told of the exchange that follows.
    pub(super) fn note_untold(&self) -> Result<(), ReenrollError> {
        if !self.is_untold() {
            disk::create_private(&self.untold(), b"")?;
        }
        Ok(())
    }

    /// Moves what lies beside the places into them, one right after the other.
    pub(super) fn exchange(&self) -> Result<(), ReenrollError> {
        let moves = [
            (self.next_key(), &self.key),
            (self.next_certificate(), &self.certificate),
        ];
        for (from, to) in moves.iter().filter(|(from, _)| disk::is_taken(from)) {
            fs::rename(from, to).map_err(disk::failed("put in place", to))?;
        }
        for place in [&self.key, &self.certificate] {
            disk::sync_directory(directory_of(place))?;
        }
        Ok(())
    }
}

/// The chain that follows this one: above it the CA that has issued it, and the root, as far as this one has
/// them.
pub(super) fn next(was: &Chain, own: Certificate, issuer: &Certificate, root: &Certificate) -> Chain {
    let had_root = was.above.iter().any(|der| der == root.der());
    let mut above = Vec::new();
    if was.above.len() > usize::from(had_root) {
        above.push(issuer.der().to_vec());
    }
    if had_root {
        above.push(root.der().to_vec());
    }
    Chain {
        own,
        above,
        is_pem: was.is_pem,
    }
}

/// `/etc/laptop.key` and `.new`: `/etc/laptop.key.new`.
fn beside(place: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = place.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn directory_of(place: &Path) -> &Path {
    place.parent().unwrap_or(Path::new("/"))
}

/// Puts a file where nothing is, whole and synced. It belongs to whom `like` belongs.
fn put(place: &Path, like: &Path, mode: u32, octets: &[u8]) -> Result<(), ReenrollError> {
    let like = fs::metadata(like).map_err(disk::failed("read", like))?;
    let staged = Staged::write(place, mode, [octets])?;
    staged.set_owner(like.uid(), like.gid())?;
    staged.sync()?;
    staged.place_new()?;
    Ok(disk::sync_directory(directory_of(place))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fuzz::seeds::Company;
    use crate::x509::pem;

    /// A device with the pair that it has, and the next one.
    struct Device {
        directory: tempfile::TempDir,
        company: Company,
        files: [String; 4],
    }

    const NAMES: [&str; 4] = ["d.crt", "d.key", "d.crt.new", "d.key.new"];

    impl Device {
        fn new() -> Self {
            let mut company = Company::new();
            let keys: [_; 2] = std::array::from_fn(|_| SoftwareKey::generate(&mut os_rng()));
            let [old, new] = keys.map(|key| {
                let certificate = company.device_of("alice/laptop", key.public_key());
                [certificate.pem(), key.pkcs8_pem().unwrap().to_string()]
            });
            let [[old_certificate, old_key], [new_certificate, new_key]] = [old, new];
            Self {
                directory: tempfile::tempdir().unwrap(),
                company,
                files: [old_certificate, old_key, new_certificate, new_key],
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }

        /// In each of the four places which of the four files is there, if any.
        fn lay(&self, places: [Option<usize>; 4]) {
            for (name, file) in NAMES.iter().zip(places) {
                let _ = fs::remove_file(self.path(name));
                if let Some(file) = file {
                    self.write(name, &self.files[file]);
                }
            }
        }

        fn lies(&self) -> [Option<usize>; 4] {
            NAMES.map(|name| {
                let text = fs::read_to_string(self.path(name)).ok()?;
                self.files.iter().position(|file| *file == text)
            })
        }

        fn pair(&self) -> Result<Pair, ReenrollError> {
            Pair::at(&self.path("d.crt"), &self.path("d.key"))
        }
    }

    #[test]
    fn what_was_cut_off_anywhere_is_finished() {
        let device = Device::new();
        for places in [
            [Some(0), Some(1), Some(2), Some(3)],
            [Some(0), Some(3), Some(2), None],
            [Some(2), Some(1), None, Some(3)],
        ] {
            device.lay(places);
            let pair = device.pair().unwrap();
            assert!(pair.is_begun());
            assert!(
                matches!(pair.standing(None), Ok(Standing::Unfinished(_))),
                "{places:?}"
            );
            pair.exchange().unwrap();
            assert_eq!(device.lies(), [Some(2), Some(3), None, None], "{places:?}");
            assert!(!pair.is_begun());
        }
    }

    #[test]
    fn a_pair_is_whole_with_the_next_key_beside_it_or_without() {
        let device = Device::new();
        for (places, has_next) in [
            ([Some(0), Some(1), None, None], false),
            ([Some(0), Some(1), None, Some(3)], true),
            ([Some(2), Some(3), None, Some(1)], true),
        ] {
            device.lay(places);
            match device.pair().unwrap().standing(None).unwrap() {
                Standing::Whole(whole) => assert_eq!(whole.next.is_some(), has_next, "{places:?}"),
                Standing::Unfinished(_) => panic!("{places:?}"),
            }
        }
    }

    #[test]
    fn what_does_not_belong_together_is_left_alone() {
        let device = Device::new();
        for (places, told) in [
            ([Some(0), Some(3), None, None], "mismatch"),
            ([Some(0), Some(3), None, Some(3)], "mismatch"),
            ([Some(0), Some(1), Some(2), None], "stray"),
        ] {
            device.lay(places);
            let refused = device.pair().unwrap().standing(None).err().unwrap();
            assert_eq!(crate::model::fault::Fault::code(&refused), told, "{places:?}");
            assert_eq!(device.lies(), places);
        }
        device.lay([Some(0), Some(1), None, None]);
        let both = Pair::at(&device.path("d.crt"), &device.path("d.crt"));
        assert!(matches!(
            both,
            Err(ReenrollError::Credential(CredentialError::Together(_)))
        ));
        device.write("d.crt", &device.files[..2].concat());
        let both = device.pair().unwrap().standing(None);
        assert!(matches!(
            both,
            Err(ReenrollError::Credential(CredentialError::Together(_)))
        ));
        device.lay([Some(0), Some(1), None, None]);
        fs::set_permissions(device.path("d.key"), fs::Permissions::from_mode(0o640)).unwrap();
        let exposed = device.pair().unwrap().standing(None);
        assert!(matches!(
            exposed,
            Err(ReenrollError::Credential(CredentialError::Exposed(_)))
        ));
    }

    #[test]
    fn the_next_files_are_like_those_in_place() {
        let device = Device::new();
        device.lay([Some(0), Some(1), None, None]);
        let ca = device.company.devices.chain().ca();
        let root = device.company.root.certificate();
        let own = || Certificate::from_pem(device.files[2].as_bytes()).unwrap();
        for (above, written) in [(vec![], 1), (vec![ca], 2), (vec![ca, root], 3), (vec![root], 2)] {
            let text = above
                .iter()
                .fold(device.files[0].clone(), |text, ca| text + &ca.pem());
            device.write("d.crt", &text);
            fs::set_permissions(device.path("d.crt"), fs::Permissions::from_mode(0o644)).unwrap();
            let pair = device.pair().unwrap();
            let was = pair.chain().unwrap();
            pair.put_next(&next(&was, own(), ca, root), &was).unwrap();
            let text = fs::read_to_string(device.path("d.crt.new")).unwrap();
            assert_eq!(text.matches(pem::CERTIFICATE).count(), 2 * written);
            assert!(text.starts_with(&device.files[2]));
            assert_eq!(text.ends_with(&root.pem()), above.last() == Some(&root));
            assert_eq!(disk::mode(&device.path("d.crt.new")).unwrap(), 0o644);
            fs::remove_file(device.path("d.crt.new")).unwrap();
        }
        fs::write(device.path("d.crt"), own().der()).unwrap();
        let pair = device.pair().unwrap();
        let was = pair.chain().unwrap();
        pair.put_next(&next(&was, own(), ca, root), &was).unwrap();
        assert_eq!(fs::read(device.path("d.crt.new")).unwrap(), own().der());

        let key = pair.make_next_key(None).unwrap();
        assert_eq!(disk::mode(&pair.next_key()).unwrap(), 0o600);
        let kept = credential::read_key(&pair.next_key(), None).unwrap();
        assert_eq!(kept.public_key(), key.public_key());
        assert!(
            pair.make_next_key(None).is_err(),
            "a key that may be certified is not overwritten"
        );
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_exchanged() {
        let device = Device::new();
        device.lay([Some(0), Some(1), Some(2), Some(3)]);
        fs::create_dir(device.path("links")).unwrap();
        let [certificate, key] = ["d.crt", "d.key"].map(|name| {
            let link = device.path("links").join(name);
            std::os::unix::fs::symlink(Path::new("..").join(name), &link).unwrap();
            link
        });
        Pair::at(&certificate, &key).unwrap().exchange().unwrap();
        assert_eq!(device.lies(), [Some(2), Some(3), None, None]);
        assert!(fs::symlink_metadata(&certificate).unwrap().is_symlink());
    }
}
