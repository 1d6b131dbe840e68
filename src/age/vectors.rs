//! The test vectors of the format: files that must open, and files each of which breaks one rule.
//! `tests/data/age/README.md` says where they are from, and what their lines mean.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{AgeError, FileKey, Identity, Sealed};
use crate::key::Passphrase;

const ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----\n";

/// A vector: what is said of a file, and the file.
struct Vector {
    name: String,
    told: BTreeMap<String, Vec<String>>,
    file: Vec<u8>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let octets = std::fs::read(path).unwrap();
        let end = octets.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::str::from_utf8(&octets[..end]).unwrap().lines() {
            let (key, value) = line.split_once(": ").unwrap();
            told.entry(key.into()).or_default().push(value.into());
        }
        let file = octets[end + 2..].to_vec();
        let file = match told.get("compressed") {
            Some(how) => {
                assert_eq!(how, &["zlib"]);
                let mut whole = Vec::new();
                flate2::read::ZlibDecoder::new(file.as_slice())
                    .read_to_end(&mut whole)
                    .unwrap();
                whole
            }
            None => file,
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, told, file }
    }

    fn all(&self, key: &str) -> &[String] {
        self.told.get(key).map_or(&[], Vec::as_slice)
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(String::as_str)
    }

    /// The identities that we have; none if all of them are of kinds that we have not.
    fn identities(&self) -> Option<Vec<Identity>> {
        let given = self.all("identity");
        let ours: Vec<Identity> = given
            .iter()
            .filter_map(|text| match text.parse() {
                Ok(identity) => Some(identity),
                Err(unfit) => {
                    assert_eq!(unfit, super::UnfitIdentity::PostQuantum, "{}", self.name);
                    None
                }
            })
            .collect();
        (given.is_empty() || !ours.is_empty()).then_some(ours)
    }

    /// The content as far as it was given out, and the error that it ended with.
    fn open(&self, identities: &[Identity]) -> (Vec<u8>, Option<AgeError>) {
        let unlock = |sealed: &Sealed<&[u8]>| match self.one("passphrase") {
            Some(text) => {
                let passphrase = Passphrase::from_octets(Zeroizing::new(text.into())).unwrap();
                sealed.unlock_with_passphrase(&passphrase)
            }
            None => sealed.unlock_with_identities(identities),
        };
        self.read_by(unlock)
    }

    fn read_by(
        &self,
        unlock: impl Fn(&Sealed<&[u8]>) -> Result<FileKey, AgeError>,
    ) -> (Vec<u8>, Option<AgeError>) {
        let mut content = Vec::new();
        let opened = Sealed::read(self.file.as_slice()).and_then(|sealed| {
            let key = unlock(&sealed)?;
            sealed.open(&key)
        });
        let ended = opened.and_then(|mut reader| Ok(reader.read_to_end(&mut content)?));
        (content, ended.err())
    }
}

/// Which of the words of the vectors an error is. An armor whose first line is wrong is none for us.
fn word(error: Option<&AgeError>, is_of_no_form: bool) -> &'static str {
    match error {
        None => "success",
        Some(AgeError::Mac) => "HMAC failure",
        Some(AgeError::NoIdentityMatches | AgeError::NotByPassphrase | AgeError::WrongPassphrase) => {
            "no match"
        }
        Some(AgeError::Damaged(_) | AgeError::CutOff(_) | AgeError::GoesOn(_)) => "payload failure",
        Some(AgeError::Armor { .. }) => "armor failure",
        Some(AgeError::NotAge) if is_of_no_form => "armor failure",
        Some(AgeError::NotAge | AgeError::Version(_) | AgeError::Header(_)) => "header failure",
        Some(other) => panic!("{other}"),
    }
}

#[test]
fn every_vector_of_the_format_comes_out_as_it_must() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/age");
    let mut wrong = Vec::new();
    let (mut tried, mut left_out, mut opened) = (0, 0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            continue;
        }
        let vector = Vector::read(&path);
        let Some(identities) = vector.identities() else {
            left_out += 1;
            continue;
        };
        tried += 1;
        let (content, error) = vector.open(&identities);
        let is_armor = vector.file.trim_ascii_start().starts_with(ARMOR.as_bytes());
        let got = word(error.as_ref(), vector.one("armored") == Some("yes") && !is_armor);
        let hash = data_encoding::HEXLOWER.encode(digest(&SHA256, &content).as_ref());
        // What is in a file of another identity, or behind a damaged header, is not told.
        let is_content = vector
            .one("payload")
            .map_or(content.is_empty(), |told| told == hash);
        if vector.one("expect") != Some(got) || !is_content {
            wrong.push(format!(
                "{}: {got} ({error:?}), content: {is_content}",
                vector.name
            ));
        }
        // Whoever has the file key reads the same.
        if got == "success" {
            opened += 1;
            let key = data_encoding::HEXLOWER.decode(vector.one("file key").unwrap().as_bytes());
            let key = FileKey::of(key.unwrap().try_into().unwrap());
            let (again, error) = vector.read_by(|_| Ok(key.clone()));
            assert!(error.is_none() && again == content, "{}", vector.name);
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!((tried, left_out, opened), (125, 18, 21));
}
