//! Writes a publication to a bucket of an S3-compatible object store, and reads it back.
//!
//! Several homes may publish to one bucket: a copy of this one, or one from an older backup. So an object is
//! only ever written in the place of the very one that was looked at (`If-Match`), never in the place of one
//! that belongs to a later publication, and the manifest last. Whoever loses such a race reports it, and what
//! is there stays.

mod client;
mod credentials;

pub use client::StoreError;
pub use credentials::CredentialsError;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::file::{File, Gone};
use super::location::Location;
use super::manifest::{LONGEST_MANIFEST, Manifest};
use crate::model::fault::{Fault, Kind};
use client::{Client, Condition, Put};

/// The parameters for access to a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The region of the bucket, as AWS names it.
    pub region: String,
    /// The server that has the bucket, where it is not AWS.
    pub endpoint: Option<String>,
    /// The file with the access key.
    pub credentials_file: PathBuf,
    /// The section of that file that has the key.
    pub profile: String,
    /// The certificates that are trusted for the server, in place of the system's.
    pub ca: Option<PathBuf>,
}

/// A bucket that an area is written to, and the prefix of its keys there.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    /// Manifests and pin sets as they were read, until something is written.
    read: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
}

/// The errors by which an area is not written to its bucket.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The access key to the bucket cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The store refused a request, or failed.
    #[error("{key}: {why}")]
    Store {
        /// The key of the object.
        key: String,
        /// The error of the store.
        why: StoreError,
    },
    /// The store cannot be reached at all.
    #[error(transparent)]
    Unreachable(StoreError),
    /// A long list, which is written whole only now and then, is not there any more.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Another home publishes to the bucket, and its publication is later.
    #[error(
        "publication {there} is there, or on its way there, and {ours} is older: another home publishes there, too"
    )]
    Superseded {
        /// The number of the publication there.
        there: u64,
        /// The number of the one that was to be written.
        ours: u64,
    },
    /// Another home writes to the bucket all the time.
    #[error("{0} was changed by somebody else each time it was to be written")]
    Contended(String),
}

impl Fault for BucketError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Credentials(_) => Kind::Storage,
            Self::Store { .. } | Self::Unreachable(_) => Kind::Elsewhere,
            Self::Gone(_) | Self::Superseded { .. } | Self::Contended(_) => Kind::Conflict,
        };
        (kind, "target")
    }
}

/// How often all is looked at again where somebody else was faster.
const TRIES: usize = 4;
/// How many seconds a number may be ahead of the store's clock: numbers are made of the time. One that is
/// further ahead was made up.
const AHEAD: i64 = 86_400;

/// One that was not written, because of another.
enum Lost {
    /// It is a later one.
    To(BucketError),
    /// It was there first; which of both is later is not known.
    Race(String),
}

impl From<BucketError> for Lost {
    fn from(error: BucketError) -> Self {
        Self::To(error)
    }
}

impl Bucket {
    /// Prepares to reach a bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// Where the key cannot be had, or nobody be trusted.
    pub fn open(location: &Location, access: &Access) -> Result<Self, BucketError> {
        Ok(Self {
            client: Client::open(location, access)?,
            read: RefCell::default(),
        })
    }

    /// Reads a small object at this path, if there is one and it has at most `longest` octets. It is
    /// requested once.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub fn read(&self, path: &str, longest: u64) -> Result<Option<Vec<u8>>, BucketError> {
        if let Some(known) = self.read.borrow().get(path) {
            return Ok(known.clone());
        }
        let octets = self.client.get(path, longest)?.and_then(|got| got.octets);
        self.read.borrow_mut().insert(path.to_owned(), octets.clone());
        Ok(octets)
    }

    /// Reads a large object at this path, unless it is one of the `known`, by their SHA-256.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub fn read_unknown(
        &self,
        path: &str,
        longest: u64,
        known: &[[u8; 32]],
    ) -> Result<Option<Vec<u8>>, BucketError> {
        match self.client.head(path)? {
            Some(head) if !known.iter().any(|known| head.has(known)) => {
                Ok(self.client.get(path, longest)?.and_then(|got| got.octets))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Whether the object at this path has so many octets and this SHA-256, by what was said of it when it
    /// was written.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub fn has(&self, path: &str, size: u64, sha256: [u8; 32]) -> Result<bool, BucketError> {
        let head = self.client.head(path)?;
        Ok(head.is_some_and(|head| head.is(&sha256, size)))
    }

    /// Whether each of these files is there.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub fn holds(&self, files: &[File]) -> Result<bool, BucketError> {
        for file in files {
            if !self.has(file.path, file.size, file.sha256)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the files that differ from what is there, in their order, and then the manifest in both forms.
    /// `number_of` tells the number of a signed manifest, where it is ours.
    ///
    /// # Errors
    /// Where one cannot be written, or somebody else's publication is later.
    pub fn write(
        &self,
        files: &[File],
        manifest: &[u8],
        jws: &[u8],
        number_of: impl Fn(&[u8]) -> Option<u64>,
    ) -> Result<(), BucketError> {
        self.read.borrow_mut().clear();
        let ours = number_of(jws).unwrap_or_default();
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.try_write(files, manifest, jws, ours, &number_of) {
                Ok(()) => return Ok(()),
                Err(Lost::To(error)) => return Err(error),
                Err(Lost::Race(key)) => last = key,
            }
        }
        Err(BucketError::Contended(last))
    }

    fn try_write(
        &self,
        files: &[File],
        manifest: &[u8],
        jws: &[u8],
        ours: u64,
        number_of: &impl Fn(&[u8]) -> Option<u64>,
    ) -> Result<(), Lost> {
        let standing = self.client.get(Manifest::JWS, LONGEST_MANIFEST)?;
        let octets = standing.as_ref().and_then(|got| got.octets.as_deref());
        if let Some(there) = octets.and_then(number_of)
            && (there > ours || there == ours && octets != Some(jws))
        {
            return Err(BucketError::Superseded { there, ours }.into());
        }
        for file in files {
            if file.body.is_none() && self.has(file.path, file.size, file.sha256)? {
                continue;
            }
            let mut pieces = file.body().map_err(BucketError::from)?.pieces();
            self.replace(
                file.path,
                file.sha256,
                file.size,
                ours,
                &mut Pieces::new(&mut pieces),
            )?;
        }
        let of = |octets: &[u8]| (Sha256::digest(octets).into(), octets.len() as u64);
        let (sha256, size) = of(manifest);
        self.replace(Manifest::JSON, sha256, size, ours, &mut &*manifest)?;
        // The last word goes in the place of what was read first, and of nothing that came since.
        let condition = standing.map_or(Condition::Absent, |got| Condition::Is(got.etag));
        let (sha256, size) = of(jws);
        self.put(Manifest::JWS, sha256, size, ours, &condition, &mut &*jws)
    }

    /// Writes a file in the place of what is there, unless that is the same or belongs to a later
    /// publication.
    fn replace(
        &self,
        path: &str,
        sha256: [u8; 32],
        size: u64,
        ours: u64,
        octets: &mut dyn Read,
    ) -> Result<(), Lost> {
        let head = self.client.head(path)?;
        let condition = match head {
            Some(head) if head.is(&sha256, size) => return Ok(()),
            Some(head) => {
                if let Some(there) = head.number.filter(|there| {
                    *there > ours && i64::try_from(*there).is_ok_and(|there| there < head.date + AHEAD)
                }) {
                    return Err(BucketError::Superseded { there, ours }.into());
                }
                Condition::Is(head.etag)
            }
            None => Condition::Absent,
        };
        self.put(path, sha256, size, ours, &condition, octets)
    }

    fn put(
        &self,
        path: &str,
        sha256: [u8; 32],
        size: u64,
        ours: u64,
        condition: &Condition,
        octets: &mut dyn Read,
    ) -> Result<(), Lost> {
        let object = client::Object {
            path,
            size,
            sha256: HEXLOWER.encode(&sha256),
            number: ours,
        };
        match self.client.put(&object, condition, octets)? {
            Put::Done => Ok(()),
            Put::Changed => Err(Lost::Race(self.client.name(path))),
        }
    }
}

/// What pieces give, one after the other.
struct Pieces<'a, P> {
    pieces: &'a mut dyn Iterator<Item = P>,
    piece: Option<P>,
    done: usize,
}

impl<'a, P: AsRef<[u8]>> Pieces<'a, P> {
    fn new(pieces: &'a mut dyn Iterator<Item = P>) -> Self {
        Self {
            pieces,
            piece: None,
            done: 0,
        }
    }
}

impl<P: AsRef<[u8]>> Read for Pieces<'_, P> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let left = self
                .piece
                .as_ref()
                .map_or(&[][..], |piece| &piece.as_ref()[self.done..]);
            if !left.is_empty() {
                let count = left.len().min(into.len());
                into[..count].copy_from_slice(&left[..count]);
                self.done += count;
                return Ok(count);
            }
            self.piece = self.pieces.next();
            self.done = 0;
            if self.piece.is_none() {
                return Ok(0);
            }
        }
    }
}

/// Whether an endpoint is permitted: one by https, or on this machine.
pub fn is_endpoint(text: &str) -> bool {
    let host = |rest: &str| rest.trim_end_matches('/').to_owned();
    let is_plain = |host: &str| !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => is_plain(&host(rest)),
        (None, Some(rest)) => {
            let host = host(rest);
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            is_plain(&host) && ["127.0.0.1", "localhost", "[::1]"].contains(&name)
        }
        (None, None) => false,
    }
}

/// The kind of a file, for those who are served it.
fn content_type(path: &str) -> &'static str {
    match Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("crl") => "application/pkix-crl",
        Some("der") => "application/pkix-cert",
        Some("crt" | "pem") => "application/x-pem-file",
        Some("json") => "application/json",
        Some("jws") => "application/jose",
        Some(_) | None => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;

    #[test]
    fn pieces_are_read_as_one() {
        let mut pieces = ["ab", "", "cde"].into_iter();
        let mut text = String::new();
        Pieces::new(&mut pieces).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
        let mut large = [vec![7; 100_000], vec![8; 1]].into_iter();
        let mut octets = Vec::new();
        Pieces::new(&mut large).read_to_end(&mut octets).unwrap();
        assert_eq!((octets.len(), octets.last()), (100_001, Some(&8)));
    }

    #[test]
    fn an_endpoint_is_asked_by_https_or_on_this_machine() {
        for (text, is_good) in [
            ("https://s3.eu-central-1.wasabisys.com", true),
            ("https://minio.acme.example:9000/", true),
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost", true),
            ("http://minio.acme.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("https://", false),
            ("https://a/b", false),
            ("https://key:secret@a", false),
            ("ftp://a", false),
        ] {
            assert_eq!(is_endpoint(text), is_good, "{text}");
        }
    }

    #[test]
    fn a_damaged_endpoint_is_refused_or_a_host_alone() {
        let endpoints = [
            "https://s3.eu-central-1.amazonaws.com/",
            "http://[::1]:9000",
            "http://localhost",
        ];
        fuzz::damaged_texts(&endpoints, |text| {
            let is_one = is_endpoint(text);
            assert!(!is_one || !text.contains(['@', '?', '#', ' ']));
            is_one
        });
    }
}
